// answer.go writes the SOAP answers that the simulator does not.

package main

import (
	"bytes"
	"fmt"
	"log"
	"net/http"
	"reflect"

	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

const (
	soapHead = xml.Header + `<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/"` +
		` xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"` +
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`
	soapTail = `</soapenv:Body></soapenv:Envelope>`
)

// sendAnswer sends a method's response, a *types.XyzResponse.
func sendAnswer(w http.ResponseWriter, res any) {
	name := xml.Name{Space: "urn:vim25", Local: reflect.TypeOf(res).Elem().Name()}
	send(w, http.StatusOK, "", res, xml.StartElement{Name: name}, "")
}

// sendTask answers a *_Task method with its task.
func sendTask(w http.ResponseWriter, method string, task types.ManagedObjectReference) {
	send(w, http.StatusOK, `<`+method+`Response xmlns="urn:vim25">`, task, xml.StartElement{
		Name: xml.Name{Local: "returnval"}, Attr: []xml.Attr{},
	}, `</`+method+`Response>`)
}

func sendFault(w http.ResponseWriter, fault types.BaseMethodFault) {
	var text bytes.Buffer
	_ = xml.EscapeText(&text, []byte(faultText(fault)))
	kind := typeOf(fault)
	send(w, http.StatusInternalServerError,
		`<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>`+text.String()+`</faultstring><detail>`,
		fault, xml.StartElement{
			Name: xml.Name{Local: kind + "Fault"},
			Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: "urn:vim25"}, {Name: xml.Name{Local: "xsi:type"}, Value: kind}},
		}, `</detail></soapenv:Fault>`)
}

func send(w http.ResponseWriter, status int, before string, val any, start xml.StartElement, after string) {
	var b bytes.Buffer
	b.WriteString(soapHead + before)
	e := xml.NewEncoder(&b)
	err := e.EncodeElement(val, start)
	if err == nil {
		err = e.Flush()
	}
	if err != nil {
		log.Printf("cannot encode %T: %v", val, err)
		http.Error(w, fmt.Sprint(err), http.StatusInternalServerError)
		return
	}
	b.WriteString(after + soapTail)
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

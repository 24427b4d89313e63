// trace.go counts what clients ask for, and can write one line per request.

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// stats counts SOAP methods, and requests and bytes by area.
type stats struct {
	mu    sync.Mutex
	calls map[string]int
	http  map[string]*traffic
}

type traffic struct {
	Requests int   `json:"requests"`
	In       int64 `json:"in"`
	Out      int64 `json:"out"`
}

func (s *stats) called(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == nil {
		s.calls = map[string]int{}
	}
	s.calls[method]++
}

func (s *stats) transfer(area string, in, out int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http == nil {
		s.http = map[string]*traffic{}
	}
	t := s.http[area]
	if t == nil {
		t = &traffic{}
		s.http[area] = t
	}
	t.Requests, t.In, t.Out = t.Requests+1, t.In+in, t.Out+out
}

func (s *stats) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.http = nil, nil
}

type countingReader struct {
	io.ReadCloser
	n int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.n += int64(n)
	return n, err
}

// recorder remembers an answer's status, its size and its beginning.
type recorder struct {
	http.ResponseWriter
	status int
	n      int64
	keep   int
	buf    bytes.Buffer
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(s int) {
	if r.status == 0 {
		r.status = s
		r.ResponseWriter.WriteHeader(s)
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if left := r.keep - r.buf.Len(); left > 0 {
		r.buf.Write(b[:min(left, len(b))])
	}
	n, err := r.ResponseWriter.Write(b)
	r.n += int64(n)
	return n, err
}

// tracer writes one line per request, or nothing if it has no file.
type tracer struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

var (
	faultString = regexp.MustCompile(`<faultstring>([^<]*)</faultstring>`)
	faultType   = regexp.MustCompile(`:type="(\w+)"`)
	returnedRef = regexp.MustCompile(`<returnval[^>]*type="(\w+)"[^>]*>([^<]+)</returnval>`)
)

// args shows a request, now: what handles it changes it.
func (t *tracer) args(m *simulator.Method) string {
	if t.out == nil {
		return ""
	}
	return brief(m.Body, 1500)
}

func (t *tracer) soap(start time.Time, r *http.Request, m *simulator.Method, args string, rec *recorder) {
	if t.out == nil {
		return
	}
	result, answer := "ok", rec.buf.Bytes()
	if rec.status >= 400 {
		result = fmt.Sprintf("HTTP %d", rec.status)
		if x := faultType.FindSubmatch(answer); x != nil {
			result = "FAULT " + string(x[1])
		}
		if x := faultString.FindSubmatch(answer); x != nil {
			result += " " + string(x[1])
		}
	} else if x := returnedRef.FindSubmatch(answer); x != nil {
		result = "-> " + string(x[2])
	}
	t.line("%8.3f %s(%s) %s %s [%.24s] %.0fms", start.Sub(t.start).Seconds(), m.Name, m.This.Value,
		args, result, r.UserAgent(), time.Since(start).Seconds()*1000)
}

func (t *tracer) http(start time.Time, r *http.Request, url string, in int64, rec *recorder) {
	if t.out == nil {
		return
	}
	t.line("%8.3f HTTP %s %s in=%d %d out=%d [%.24s]", start.Sub(t.start).Seconds(), r.Method, url, in,
		max(rec.status, http.StatusOK), rec.n, r.UserAgent())
}

func (t *tracer) line(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, format+"\n", args...)
}

// brief is a request's arguments as short text: no "_this", nothing that is
// unset, and the type's name where the API has a choice.
func brief(v any, limit int) string {
	var b strings.Builder
	if v != nil {
		show(&b, reflect.ValueOf(v), true)
	}
	s := b.String()
	if len(s) > limit {
		s = s[:limit] + "..."
	}
	return s
}

func show(b *strings.Builder, v reflect.Value, top bool) {
	switch v.Kind() {
	case reflect.Ptr:
		if !v.IsNil() {
			show(b, v.Elem(), top)
		}
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		if t := reflect.Indirect(v.Elem()).Type(); t.Kind() == reflect.Struct {
			b.WriteString(t.Name())
		}
		show(b, v.Elem(), false)
	case reflect.Struct:
		switch x := v.Interface().(type) {
		case types.ManagedObjectReference:
			b.WriteString(x.Value)
		case time.Time:
			b.WriteString(x.Format(time.RFC3339))
		default:
			n := 0
			b.WriteString("{")
			showFields(b, v, top, &n)
			b.WriteString("}")
		}
	case reflect.Slice:
		b.WriteString("[")
		for i := 0; i < v.Len(); i++ {
			if i > 0 {
				b.WriteString(", ")
			}
			show(b, v.Index(i), false)
		}
		b.WriteString("]")
	case reflect.String:
		fmt.Fprintf(b, "%q", v.String())
	default:
		fmt.Fprint(b, v.Interface())
	}
}

func showFields(b *strings.Builder, v reflect.Value, top bool, n *int) {
	for i := 0; i < v.NumField(); i++ {
		f := v.Type().Field(i)
		switch {
		case f.Anonymous:
			if v.Field(i).Kind() == reflect.Struct {
				showFields(b, v.Field(i), false, n)
			}
		case f.PkgPath != "" || v.Field(i).IsZero() || top && f.Name == "This":
		default:
			if *n++; *n > 1 {
				b.WriteString(", ")
			}
			b.WriteString(strings.ToLower(f.Name[:1]) + f.Name[1:] + ":")
			if f.Name == "Password" {
				b.WriteString("***")
			} else {
				show(b, v.Field(i), false)
			}
		}
	}
}

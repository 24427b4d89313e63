use super::written;
use crate::vim::{Element, Ref};

const XSI: &str = "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"";

#[test]
fn elements_are_read_with_types_whatever_their_prefixes() {
    let text = format!(
        "<?xml version=\"1.0\"?><e:r xmlns:e=\"urn:vim25\" xmlns:x=\"http://www.w3.org/2001/XMLSchema-instance\" {XSI}>\n  \
         <e:a x:type=\"e:VirtualDisk\" xsi:nil=\"false\" type=\"VirtualMachine\">vm-1</e:a>\n  \
         <b xsi:type=\"xsd:string\"> x &amp; &#x41;&lt;<![CDATA[<&>]]></b><c/></e:r>"
    );
    let root = Element::parse(&text).unwrap();
    assert_eq!((root.name.as_str(), root.text.as_str()), ("r", ""));
    let a = root.child("a").unwrap();
    assert_eq!(a.kind.as_deref(), Some("VirtualDisk"));
    assert_eq!(a.as_reference(), Some(Ref::new("VirtualMachine", "vm-1")));
    assert_eq!(root.text_of("b"), Some(" x & A<<&>"));
    assert_eq!(root.text_of("c"), Some(""));
    assert_eq!(root.child("b").unwrap().as_reference(), None);
}

#[test]
fn paths_numbers_and_truths() {
    let root =
        Element::parse("<r><a><b>-3</b><b>4</b></a><t>true</t><f>0</f><n>12</n></r>").unwrap();
    assert_eq!(root.i32_of("a.b"), Some(-3));
    assert_eq!(root.u64_of("a.b"), None);
    assert_eq!(root.u64_of("n"), Some(12));
    assert_eq!(
        (root.bool_of("t"), root.bool_of("f"), root.bool_of("n")),
        (Some(true), Some(false), None)
    );
    assert_eq!(root.find_all("b").len(), 2);
    assert!(root.at("a.b.c").is_none());
}

#[test]
fn what_is_no_xml_is_refused() {
    for text in [
        "",
        "hello",
        "<a>",
        "<a></b>",
        "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>",
        "<a>&nope;</a>",
    ] {
        assert!(Element::parse(text).is_err(), "{text}");
    }
    let deep = format!("{}{}", "<a>".repeat(3000), "</a>".repeat(3000));
    assert!(
        Element::parse(&deep)
            .unwrap_err()
            .to_string()
            .contains("too deep")
    );
}

#[test]
fn what_is_written_is_escaped_and_in_order() {
    let text = written(|xml| {
        xml.element("a", "<&>\"\r\n\u{1}é")
            .reference("b", &Ref::new("Folder", "group-v1"));
        xml.typed("c", "VirtualDisk", |xml| {
            xml.element("d", 1)
                .maybe("e", None::<u32>)
                .maybe("f", Some(true));
        })
        .value("g", "string", "x");
    });
    assert_eq!(
        text,
        "<a>&lt;&amp;&gt;&quot;&#13;\n\u{fffd}é</a><b type=\"Folder\">group-v1</b>\
         <c xsi:type=\"VirtualDisk\"><d>1</d><f>true</f></c><g xsi:type=\"xsd:string\">x</g>"
    );
}

#[test]
fn what_was_read_can_be_changed_and_written_back() {
    let text = format!(
        "<device {XSI} xsi:type=\"VirtualDisk\"><key>2000</key><backing xsi:type=\"VirtualDiskFlatVer2BackingInfo\">\
         <datastore type=\"Datastore\">ds-1</datastore></backing><value xsi:type=\"xsd:string\">v</value>\
         <capacityInKB>1</capacityInKB></device>"
    );
    let mut device = Element::parse(&text).unwrap();
    device.set("capacityInKB", "2");
    device.set("new", "3");
    device.remove("key");
    assert_eq!(
        written(|xml| {
            xml.copy("device", &device);
        }),
        "<device xsi:type=\"VirtualDisk\"><backing xsi:type=\"VirtualDiskFlatVer2BackingInfo\">\
         <datastore type=\"Datastore\">ds-1</datastore></backing><value xsi:type=\"xsd:string\">v</value>\
         <capacityInKB>2</capacityInKB><new>3</new></device>"
    );
}

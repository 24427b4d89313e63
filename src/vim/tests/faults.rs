use crate::vim::soap::{harmless, never_arrived, open, repeatable, version};
use crate::vim::{Element, Fault, Ref, VimError};

const XSI: &str = "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"";

fn soap(words: &str, detail: &str) -> VimError {
    let text = format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" {XSI}><s:Body><s:Fault>\
         <faultcode>ServerFaultCode</faultcode><faultstring>{words}</faultstring><detail>{detail}</detail>\
         </s:Fault></s:Body></s:Envelope>"
    );
    open("X", &text).unwrap_err()
}

#[test]
fn a_missing_privilege_is_named() {
    let error = soap(
        "Permission to perform this operation was denied.",
        "<NoPermissionFault xmlns=\"urn:vim25\" xsi:type=\"NoPermission\"><object type=\"Folder\">group-v3</object>\
         <privilegeId>VirtualMachine.Inventory.Create</privilegeId></NoPermissionFault>",
    );
    assert!(error.is("NoPermission"));
    assert_eq!(
        error.to_string(),
        "Permission to perform this operation was denied; privilege `VirtualMachine.Inventory.Create` (NoPermission)"
    );
    assert_eq!(
        error.help().unwrap(),
        "grant the account `VirtualMachine.Inventory.Create` on `group-v3`"
    );
}

#[test]
fn newer_servers_name_several_privileges() {
    let error = soap(
        "Denied",
        "<NoPermissionFault xsi:type=\"NoPermission\"><missingPrivileges><entity type=\"Folder\">f</entity>\
         <privilegeIds>A.B</privilegeIds><privilegeIds>A.C</privilegeIds></missingPrivileges></NoPermissionFault>",
    );
    assert_eq!(error.help().unwrap(), "grant the account `A.B`, `A.C`");
}

#[test]
fn a_fault_without_a_type_is_known_by_its_name() {
    assert!(soap("x", "<InvalidLoginFault/>").is("InvalidLogin"));
    let bare = soap("the words", "");
    assert_eq!(bare.to_string(), "the words (SoapFault)");
    assert_eq!(
        soap("", "<ManagedObjectNotFoundFault/>").to_string(),
        "ManagedObjectNotFound"
    );
}

#[test]
fn a_tasks_fault_says_all_it_knows() {
    let told = Element::parse(&format!(
        "<error {XSI}><fault xsi:type=\"NoDiskSpace\"><faultMessage><key>k</key><message>Disk full.</message></faultMessage>\
         <file>[ds] a.vmdk</file><datastore>ds</datastore></fault>\
         <localizedMessage>There is no space.</localizedMessage></error>"
    ))
    .unwrap();
    let error = VimError::from(Fault::localized(&told));
    assert_eq!(
        error.to_string(),
        "There is no space; Disk full; datastore `ds`; file `[ds] a.vmdk` (NoDiskSpace)"
    );
    assert!(error.help().unwrap().contains("free space"));
    assert!(!error.is_transient());
}

#[test]
fn an_answer_that_is_no_soap_is_no_result() {
    assert!(matches!(open("X", "<html/>"), Err(VimError::Protocol(_))));
    let text = "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body><FindResponse xmlns=\"urn:vim25\">\
                <returnval type=\"VirtualMachine\">vm-7</returnval></FindResponse></e:Body></e:Envelope>";
    let response = open("Find", text).unwrap();
    assert_eq!(
        response.reference_of("returnval"),
        Some(Ref::new("VirtualMachine", "vm-7"))
    );
}

#[test]
fn an_unknown_certificate_can_be_pinned() {
    let error = VimError::Certificate {
        server: "vc".into(),
        why: "it has expired".into(),
        thumbprint: Some("AA:BB".into()),
    };
    assert_eq!(
        error.to_string(),
        "the certificate of vc is not trusted: it has expired"
    );
    assert!(error.help().unwrap().contains("tls_thumbprint = \"AA:BB\""));
}

#[test]
fn only_what_does_no_harm_is_sent_twice() {
    for method in [
        "RetrievePropertiesEx",
        "FindByUuid",
        "HttpNfcLeaseProgress",
        "CancelTask",
        "SearchDatastore_Task",
    ] {
        assert!(repeatable(method), "{method}");
    }
    for method in [
        "CreateVM_Task",
        "PutUsbScanCodes",
        "HttpNfcLeaseComplete",
        "MarkAsTemplate",
        "WaitForUpdatesEx",
    ] {
        assert!(!repeatable(method), "{method}");
    }
    assert!(harmless("Destroy_Task") && harmless("RevertToSnapshot_Task"));
    for method in [
        "CreateVM_Task",
        "CreateSnapshot_Task",
        "MoveDatastoreFile_Task",
    ] {
        assert!(!harmless(method), "{method}");
    }
    assert!(never_arrived(
        503,
        "503 Service Unavailable (Failed to connect to endpoint: [...])"
    ));
    assert!(!never_arrived(
        502,
        "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
    ));
    assert!(!never_arrived(500, "no healthy upstream"));
}

#[test]
fn the_newest_version_known_to_both_is_spoken() {
    let versions = |own: &str, prior: &[&str]| {
        let prior: String = prior
            .iter()
            .map(|v| format!("<version>{v}</version>"))
            .collect();
        version(Some(&format!(
            "<?xml version=\"1.0\"?><namespaces version=\"1.0\"><namespace><name>urn:other</name><version>9.9</version>\
             </namespace><namespace><name>urn:vim25</name><version>{own}</version><priorVersions>{prior}</priorVersions>\
             </namespace></namespaces>"
        )))
    };
    assert_eq!(versions("8.0.3.0", &["8.0.2.0", "7.0.3.2"]), "8.0.3.0");
    assert_eq!(versions("10.0", &["9.0.0.0", "8.0.3.0"]), "9.0.0.0");
    assert_eq!(versions("dev", &[]), "6.5");
    assert_eq!(version(Some("<html>")), "6.5");
    assert_eq!(version(None), "6.5");
}

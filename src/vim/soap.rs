//! SOAP 1.1 around requests and answers, and which of them may be sent again.

use super::{Element, Fault, VimError};

/// The request for a method.
pub(super) fn envelope(method: &str, inside: &str) -> String {
    envelope_of("urn:vim25", "", method, inside)
}

/// The request for a method of another API, with what stands in its header.
pub(super) fn envelope_of(namespace: &str, header: &str, method: &str, inside: &str) -> String {
    let header = match header {
        "" => String::new(),
        header => format!("<soapenv:Header>{header}</soapenv:Header>"),
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
         {header}<soapenv:Body><{method} xmlns=\"{namespace}\">{inside}</{method}></soapenv:Body></soapenv:Envelope>"
    )
}

/// The response in an answer, or the fault.
pub(super) fn open(method: &str, xml: &str) -> Result<Element, VimError> {
    let envelope = Element::parse(xml)?;
    let body = (envelope.children.into_iter())
        .find(|c| c.name == "Body")
        .and_then(|body| body.children.into_iter().next())
        .ok_or_else(|| VimError::Protocol(format!("{method}: the answer is not SOAP")))?;
    if body.name == "Fault" {
        Err(Fault::soap(&body).into())
    } else {
        Ok(body)
    }
}

/// Whether a method can be called twice where once was meant: it only reads, or the second call changes nothing more.
pub(super) fn repeatable(method: &str) -> bool {
    const STARTS: &[&str] = &[
        "Retrieve",
        "ContinueRetrieve",
        "Find",
        "Query",
        "Fetch",
        "HasPrivilege",
    ];
    const NAMES: &[&str] = &[
        "AcquireGenericServiceTicket",
        "CancelTask",
        "CreateContainerView",
        "CreateDescriptor",
        "CreateFilter",
        "CreateImportSpec",
        "CreatePropertyCollector",
        "CurrentTime",
        "DestroyPropertyCollector",
        "DestroyView",
        "HttpNfcLeaseAbort",
        "HttpNfcLeaseGetManifest",
        "HttpNfcLeaseProgress",
        "Login",
        "Logout",
        "MakeDirectory",
        "ParseDescriptor",
        "RecommendDatastores",
        "SearchDatastore_Task",
    ];
    NAMES.contains(&method) || STARTS.iter().any(|start| method.starts_with(start))
}

/// Whether a task can be started again that may have come to its end: the second one changes nothing more, or finds
/// everything as it is wanted, which callers forgive.
pub(super) fn harmless(method: &str) -> bool {
    const NAMES: &[&str] = &[
        "DeleteDatastoreFile_Task",
        "Destroy_Task",
        "PowerOffVM_Task",
        "Rename_Task",
        "RevertToSnapshot_Task",
        "SearchDatastore_Task",
    ];
    NAMES.contains(&method)
}

/// Whether an error of a proxy says that the server behind it has not seen the request.
pub(super) fn never_arrived(status: u16, body: &str) -> bool {
    const WORDS: &[&str] = &[
        "failed to connect to endpoint",
        "no healthy upstream",
        "connection refused",
        "reset reason: connection failure",
        "reset reason: remote connection failure",
        "delayed connect error",
    ];
    let body = body.to_ascii_lowercase();
    matches!(status, 502 | 503) && WORDS.iter().any(|words| body.contains(words))
}

/// The version of the API to speak, from `vimServiceVersions.xml`: the newest one of the server's that is not newer than
/// what this module knows.
pub(super) fn version(xml: Option<&str>) -> String {
    const OLDEST: &str = "6.5";
    const NEWEST_MAJOR: u32 = 9;
    let Some(root) = xml.and_then(|xml| Element::parse(xml).ok()) else {
        return OLDEST.into();
    };
    let known = (root.children_named("namespace"))
        .filter(|n| n.text_of("name").map(str::trim) == Some("urn:vim25"))
        .flat_map(|n| n.find_all("version"))
        .filter_map(|version| {
            let text = version.text.trim();
            let numbers: Option<Vec<u32>> = text.split('.').map(|n| n.parse().ok()).collect();
            Some((numbers?, text))
        })
        .filter(|(numbers, _)| numbers[0] <= NEWEST_MAJOR)
        .max();
    known.map_or_else(|| OLDEST.into(), |(_, text)| text.into())
}

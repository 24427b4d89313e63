//! Storage policies of vCenter: the API of their own, PBM, which is SOAP with the session of vim25.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;

use super::rest::fault;
use super::tags::Named;
use super::{ApiType, Client, Element, Ref, VimError, Xml, soap};

/// The name of its schema.
const NAMESPACE: &str = "urn:pbm";
/// The version that every vCenter since 5.5 knows.
const ACTION: &str = "urn:pbm/2.0";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(180);

impl Client {
    /// The storage policies: `PbmQueryProfile` and `PbmRetrieveContent`.
    pub async fn storage_policies(&self) -> Result<Vec<Named>, VimError> {
        let service = Ref::new("PbmServiceInstance", "ServiceInstance");
        let content = self
            .pbm(&service, "PbmRetrieveServiceContent", |_| {})
            .await?;
        let manager = content
            .returned()
            .and_then(|content| content.reference_of("profileManager"));
        let manager = manager.ok_or_else(|| {
            VimError::Protocol("the server does not tell who manages storage policies".into())
        })?;
        let query = |xml: &mut Xml| {
            xml.within("resourceType", |xml| {
                xml.element("resourceType", "STORAGE");
            })
            .element("profileCategory", "REQUIREMENT");
        };
        let ids = self.pbm(&manager, "PbmQueryProfile", query).await?;
        let ids: Vec<&str> = ids
            .children_named("returnval")
            .filter_map(|id| id.text_of("uniqueId"))
            .collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let all = |xml: &mut Xml| {
            for id in &ids {
                xml.within("profileIds", |xml| {
                    xml.element("uniqueId", id);
                });
            }
        };
        let told = self.pbm(&manager, "PbmRetrieveContent", all).await?;
        let read = |policy: &Element| {
            Some(Named {
                id: policy.text_of("profileId.uniqueId")?.to_owned(),
                name: policy.text_of("name")?.to_owned(),
            })
        };
        Ok(told.children_named("returnval").filter_map(read).collect())
    }

    /// Calls a method of PBM, each of which only reads. A session that has ended is renewed once.
    async fn pbm(
        &self,
        this: &Ref,
        method: &str,
        body: impl FnOnce(&mut Xml),
    ) -> Result<Element, VimError> {
        if self.about().api == ApiType::HostAgent {
            return Err(fault(
                "NotSupported",
                "storage policies are vCenter's: a single host has none".into(),
            ));
        }
        let mut xml = Xml::new();
        xml.reference("_this", this);
        body(&mut xml);
        let inside = xml.into_string();
        let generation = self.generation();
        match self.ask_pbm(method, &inside).await {
            Err(error) if error.is("NotAuthenticated") => {
                self.inner.renew(generation).await?;
                self.ask_pbm(method, &inside).await
            }
            answer => answer,
        }
    }

    async fn ask_pbm(&self, method: &str, inside: &str) -> Result<Element, VimError> {
        let wire = &self.inner.wire;
        let mut url = wire.base.clone();
        url.set_path("/pbm/sdk");
        // the session is told in the message: `vmware_soap_session="…"`
        let cookie = wire.session.state().cookie.unwrap_or_default();
        let session = cookie.split_once('=').map_or("", |(_, value)| value);
        let mut header = Xml::new();
        header.element("vcSessionCookie", session.trim_matches('"'));
        let request = self
            .dress(&wire.http, Method::POST, &url)
            .header(CONTENT_TYPE, "text/xml; charset=utf-8")
            .header("SOAPAction", ACTION)
            .timeout(PATIENCE)
            .body(soap::envelope_of(
                NAMESPACE,
                header.as_str(),
                method,
                inside,
            ));
        let answer = wire.http.answer(&url, request).await?;
        let status = answer.status().as_u16();
        let text = wire.http.text(&url, answer).await?;
        match soap::open(method, &text) {
            Err(VimError::Fault(fault)) => Err(VimError::Fault(fault)),
            opened if status == 200 => opened,
            _ => Err(VimError::Http {
                what: format!("`{method}` at {}", wire.server),
                status,
            }),
        }
    }
}

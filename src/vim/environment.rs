//! What hosts can run; `EnvironmentBrowser`.

use super::{Client, Ref, VimError, Xml};

impl Client {
    /// The versions of virtual hardware that machines can be made with: 15 is `vmx-15`.
    /// `EnvironmentBrowser.QueryConfigOptionDescriptor`.
    pub async fn hardware_versions(&self, browser: &Ref) -> Result<Vec<u32>, VimError> {
        let told = self.call(browser, "QueryConfigOptionDescriptor", |_| {});
        let told = told.await?;
        let made = |option: &&super::Element| option.bool_of("createSupported") != Some(false);
        let options = told.children_named("returnval").filter(made);
        let number = |key: &str| key.strip_prefix("vmx-")?.parse().ok();
        Ok(options
            .filter_map(|option| number(option.text_of("key")?))
            .collect())
    }

    /// The kinds of guests that hardware of this version knows: only `wanted` if that is among them, else all.
    /// `EnvironmentBrowser.QueryConfigOptionEx`.
    pub async fn guest_ids(
        &self,
        browser: &Ref,
        version: u32,
        wanted: &str,
    ) -> Result<Vec<String>, VimError> {
        let body = |xml: &mut Xml| {
            xml.within("spec", |xml| {
                xml.element("key", format!("vmx-{version:02}"))
                    .element("guestId", wanted);
            });
        };
        let told = self.call(browser, "QueryConfigOptionEx", body).await?;
        let known = told.child("returnval").into_iter();
        let known = known.flat_map(|options| options.children_named("guestOSDescriptor"));
        Ok(known
            .filter_map(|guest| guest.text_of("id").map(str::to_owned))
            .collect())
    }
}

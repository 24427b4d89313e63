//! `publish`: an appliance in a content library.

use crate::config::tree::Node;
use crate::diag::{Diagnostic, or_list};
use crate::model::{Name, ProviderKind, Publish, Text};

use super::stage::{Here, Lowering};

/// vCenter's longest name for an item.
const LONGEST: usize = 80;

/// `kind = "publish"`.
pub(super) fn stage(lowering: &Lowering<'_>, here: &Here<'_>) -> Option<Publish> {
    let provider = provider(lowering, here);
    let library = here
        .site
        .required(&here.table, "library", &here.what(), here.decl.span)
        .and_then(|node| name(here, node, "a library"));
    let item = here.get("item").map(|node| name(here, node, "an item"));
    Some(Publish {
        provider: provider?,
        library: library?,
        item: match item {
            Some(item) => Some(item?),
            None => None,
        },
    })
}

/// A name on the server.
fn name(here: &Here<'_>, node: &Node, what: &str) -> Option<Text> {
    let name = here.site.text(node)?;
    let shown = name.to_string();
    if shown.is_empty() || name.as_literal().is_some_and(|name| name.len() > LONGEST) {
        here.site.fault(
            "bad-name",
            format!("`{shown}` cannot be the name of {what}: that has 1 to {LONGEST} characters"),
            node.span,
        );
        return None;
    }
    Some(name)
}

/// The provider that the stage names, else the chosen one, else the first one: among those that have libraries.
fn provider(lowering: &Lowering<'_>, here: &Here<'_>) -> Option<Name> {
    let kind_of = |name: &Name| {
        let known = lowering.providers.iter().find(|(known, _)| known == name);
        known.map(|(_, config)| config.kind)
    };
    let has_libraries = |name: &&Name| kind_of(name) == Some(ProviderKind::Vsphere);
    let servers = || {
        lowering
            .providers
            .iter()
            .map(|(name, _)| name)
            .filter(has_libraries)
    };
    let Some(node) = here.get("provider") else {
        let chosen = lowering.chosen_provider.iter().filter(has_libraries);
        let inherited = here.inherited.provider.iter().filter(has_libraries);
        let found = chosen.chain(inherited).chain(servers()).next().cloned();
        if found.is_none() {
            let message = format!("{} needs a provider of type `vsphere`", here.what());
            here.site.push(
                Diagnostic::error("missing-key", message)
                    .label(here.decl.span, "")
                    .help("content libraries are vCenter's: add `[providers.NAME]` with `type = \"vsphere\"`"),
            );
        }
        return found;
    };
    let named = lowering.provider(here)?;
    if has_libraries(&&named) {
        return Some(named);
    }
    let fault = Diagnostic::error(
        "wrong-provider",
        format!("the provider `{named}` has no content libraries: it is not of type `vsphere`"),
    );
    let others: Vec<&str> = servers().map(Name::as_str).collect();
    let help = (!others.is_empty()).then(|| format!("name {}", or_list(others)));
    here.site.push(fault.label(node.span, "").maybe_help(help));
    None
}

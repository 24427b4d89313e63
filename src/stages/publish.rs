//! `kind = "publish"`: an appliance as an item of a content library.

use std::path::Path;

use serde_json::json;

use super::failure::failure;
use super::resolve::Resolver;
use super::{Host, outputs, remote, upstream};
use crate::engine::{ExecError, StageContext, StageFailure};
use crate::model::{Artifact, Name, Publish, Stage, StoredFile, Text};
use crate::provider::{Appliance, ApplianceFile, Mark, ProviderError, Published, Work};
use crate::store::Place;

pub(super) async fn execute(
    host: &Host,
    context: &StageContext,
    kind: &Publish,
) -> Result<Artifact, ExecError> {
    let provider = host.provider(kind.provider.as_str())?;
    let resolver = Resolver::new(host, context);
    let packed = upstream(context)?;
    let name = match &kind.item {
        Some(item) => resolver.text(item)?,
        None => ova(packed)?.0.to_owned(),
    };
    let appliance = Appliance {
        library: resolver.text(&kind.library)?,
        mark: Mark {
            fingerprint: context.ingredients.fingerprint().hex(),
            name,
            ..remote::mark(host, &context.stage)
        },
        files: files(host, packed)?,
    };
    let (item, library) = (&appliance.mark.name, &appliance.library);
    context
        .output
        .step(format!("uploading `{item}` into the library `{library}`"));
    let (output, voice) = (context.output.clone(), context.output.clone());
    let work = Work {
        dir: &host.root,
        progress: &move |done, total| output.progress(done, total),
        note: &move |text| voice.warn(text),
        cancel: &context.cancel,
    };
    let published = provider.publish_appliance(&appliance, work).await?;
    context.output.line(&format!(
        "`{item}` in the library `{library}`: version {}",
        published.version
    ));
    keep(host, context, packed, &appliance, &published)
}

/// Keeps what was published beside the appliance, for programs.
fn keep(
    host: &Host,
    context: &StageContext,
    packed: &Artifact,
    appliance: &Appliance,
    published: &Published,
) -> Result<Artifact, ExecError> {
    let told = json!({
        "library": appliance.library,
        "item": appliance.mark.name,
        "id": published.id,
        "version": published.version,
    });
    let text = serde_json::to_string_pretty(&told).unwrap_or_default() + "\n";
    let (name, _) = ova(packed)?;
    let stage = context.stage.key.slug();
    let stored = StoredFile {
        path: Some(format!("output/{name}/{stage}/item.json")),
        ..host.store.put_bytes(text.as_bytes())?
    };
    outputs::show(host, &stored, Place::Copy)?;
    let mut artifact = Artifact::default();
    let output = Name::parse("item").map_err(|e| failure(e.to_string()))?;
    artifact.files.insert(output, stored);
    artifact.facts.insert("item".into(), published.id.clone());
    let version = published.version.clone();
    artifact.facts.insert("version".into(), version);
    Ok(artifact)
}

fn file<'a>(packed: &'a Artifact, output: &str) -> Option<(&'a str, &'a StoredFile)> {
    let found = packed
        .files
        .iter()
        .find(|(name, _)| name.as_str() == output);
    let (_, stored) = found?;
    let name = Path::new(stored.path.as_deref()?).file_name()?.to_str()?;
    Some((name, stored))
}

/// The appliance, and its own name: that of its file.
fn ova(packed: &Artifact) -> Result<(&str, &StoredFile), StageFailure> {
    let (name, stored) = file(packed, "ova")
        .ok_or_else(|| failure("the stage that `from` names has left no ova"))?;
    Ok((name.strip_suffix(".ova").unwrap_or(name), stored))
}

/// What the appliance consists of, the descriptor first, as its importers read it.
fn files(host: &Host, packed: &Artifact) -> Result<Vec<ApplianceFile>, StageFailure> {
    let outputs = packed.files.keys().map(Name::as_str);
    let others = outputs.filter(|name| name.starts_with("disk-") || *name == "nvram");
    let mut files = Vec::new();
    for output in ["ovf", "mf"].into_iter().chain(others) {
        let (name, stored) = file(packed, output)
            .ok_or_else(|| failure(format!("the stage that `from` names has left no {output}")))?;
        files.push(ApplianceFile {
            name: name.to_owned(),
            path: host.store.use_object(&stored.digest)?,
            size: stored.size,
            digest: stored.digest,
        });
    }
    Ok(files)
}

/// What stands in the way of a stage, as far as it can be told before the appliance is there.
pub(super) async fn preflight(host: &Host, stage: &Stage, kind: &Publish) -> Option<ProviderError> {
    let provider = host.providers.get(&kind.provider)?;
    let library = kind.library.as_literal()?;
    let mark = kind
        .item
        .as_ref()
        .and_then(Text::as_literal)
        .map(|name| Mark {
            name: name.to_string(),
            ..remote::mark(host, stage)
        });
    provider.preflight_library(&library, mark.as_ref()).await
}

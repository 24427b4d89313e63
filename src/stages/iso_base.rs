//! `kind = "iso-base"`: installs a machine from an ISO and leaves it at rest.

use std::time::Duration;

use super::Host;
use super::failure::failure;
use super::login;
use super::machine::Session;
use super::media::{self, Media};
use super::resolve::Resolver;
use super::start::Start;
use super::taking::{self, Finished};
use crate::engine::{ExecError, StageContext, StageFailure};
use crate::guest::Guest;
use crate::model::{
    Algorithm, Artifact, Boot, Checksum, Digest, IsoBase, IsoSource, Late, MachineState,
    StoredFile, Text,
};
use crate::net::{FetchRequest, Place, fetch};
use crate::provider::{DiskSource, Medium, Provider, ProviderError, Typing};
use crate::store::Put;

/// How long an installer may take to ask for its kickstart after the boot keys.
const KICKSTART: Duration = Duration::from_secs(240);

pub(super) async fn execute(
    host: &Host,
    context: &StageContext,
    kind: &IsoBase,
) -> Result<Artifact, ExecError> {
    let provider = host.provider(kind.provider.as_str())?;
    // a host that cannot run the machine is told before gigabytes are downloaded for it
    if let Some(error) = provider.preflight(&kind.hardware).await.into_iter().next() {
        return Err(error.into());
    }
    let resolver = Resolver::new(host, context);
    let iso = install_medium(host, context, &resolver, (provider.as_ref(), &kind.iso)).await?;
    let (media, resolver) = media::make(resolver, kind, provider.as_ref(), &context.output).await?;
    let (mut session, media) = power_on(host, context, kind, iso, media).await?;
    media.begin();
    let installed = tokio::select! {
        installed = install(&mut session, host, context, (kind, &resolver, &media)) => installed,
        failure = media.failed() => Err(session.diagnose(failure.into()).await),
    };
    let guest = match installed {
        Err(ExecError::Failed(failure)) => return Err(media.told(*failure).into()),
        installed => installed?,
    };
    drop(media);
    let shutdown = kind
        .shutdown
        .as_ref()
        .map(|text| resolver.text(text))
        .transpose()?;
    let shutdown = shutdown.as_deref();
    let finished = Finished {
        policy: kind.checkpoint,
        provider: provider.as_ref(),
        hardware: &kind.hardware,
        below: MachineState {
            remote: None,
            provider: kind.provider.to_string(),
            hardware: kind.hardware.clone(),
            disks: Vec::new(),
            nvram: None,
        },
        step: 0,
        shutdown,
        media: true,
    };
    let machine = taking::finish(host, context, (session, guest), finished).await?;
    Ok(Artifact {
        machine: Some(machine),
        ..Artifact::default()
    })
}

/// From power-on to a login.
async fn install(
    session: &mut Session,
    host: &Host,
    context: &StageContext,
    (kind, resolver, media): (&IsoBase, &Resolver<'_>, &Media),
) -> Result<Guest, ExecError> {
    if let Err(error) = boot(session, context, resolver, &kind.boot).await {
        return Err(session.diagnose(error).await);
    }
    let ssh = &kind.ssh;
    let mut watch = |waited: Duration| not_asked(media, waited);
    session
        .login(
            &|address| login::target(resolver, host, ssh, address),
            ssh.timeout,
            &mut watch,
        )
        .await
}

async fn power_on(
    host: &Host,
    context: &StageContext,
    kind: &IsoBase,
    iso: Medium,
    mut media: Media,
) -> Result<(Session, Media), ExecError> {
    let mut cds = vec![iso];
    if let Some(cd) = media.cd.take() {
        let stored = host.store.put_bytes(&cd)?;
        cds.push(Medium::file(host.store.path(&stored.digest), stored.digest));
    }
    let start = Start {
        name: kind.provider.to_string(),
        provider: host.provider(kind.provider.as_str())?,
        hardware: kind.hardware.clone(),
        disks: kind
            .hardware
            .disks
            .iter()
            .map(|disk| DiskSource::New(disk.size))
            .collect(),
        nvram: None,
        cds,
        floppy: media.floppy.take(),
        ssh_port: kind.ssh.port,
        memory: None,
        from: None,
        resume: false,
        ovf: None,
    };
    Ok((Session::launch(host, context, start).await?, media))
}

/// Waits for the boot prompt and types the keys.
async fn boot(
    session: &mut Session,
    context: &StageContext,
    resolver: &Resolver<'_>,
    boot: &Boot,
) -> Result<(), ExecError> {
    if let Some(pattern) = &boot.wait_text {
        context
            .output
            .step(format!("waiting for `{pattern}` on the screen"));
        wait_for_text(session, context, pattern, boot.wait_timeout).await?;
    }
    if let Some(wait) = boot.wait {
        context
            .output
            .step(format!("waiting {wait} before the boot keys"));
        context
            .cancel
            .run(tokio::time::sleep(wait.std()))
            .await
            .ok_or(ExecError::Cancelled)?;
    }
    let text = resolver.text(&boot.keys)?;
    let keys = Boot::parse_keys(&text).map_err(|e| failure(format!("boot keys: {e}")))?;
    if keys.0.is_empty() {
        return Ok(());
    }
    context.output.step("typing the boot keys");
    context.output.note(&text);
    let typing = Typing {
        interval: boot.interval,
        layout: boot.layout,
    };
    let typed = context
        .cancel
        .run(session.machine()?.type_keys(&keys, &typing))
        .await;
    typed.ok_or(ExecError::Cancelled)?.map_err(ExecError::from)
}

async fn wait_for_text(
    session: &mut Session,
    context: &StageContext,
    pattern: &str,
    timeout: crate::model::Duration,
) -> Result<(), ExecError> {
    let regex = regex::RegexBuilder::new(pattern)
        .multi_line(true)
        .build()
        .map_err(|e| failure(format!("boot.wait_text is no regular expression: {e}")))?;
    let deadline = tokio::time::Instant::now() + timeout.std();
    loop {
        if context.cancel.is_cancelled() {
            return Err(ExecError::Cancelled);
        }
        let screen = session.machine()?.screen().await?;
        if screen
            .text
            .as_deref()
            .is_some_and(|text| regex.is_match(text))
        {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(StageFailure {
                message: format!("`{pattern}` was not on the screen within {timeout}"),
                help: vec!["compare `boot.wait_text` with the screenshot; graphics cannot be read: use `boot.wait`".into()],
                ..StageFailure::default()
            }
            .into());
        }
        // the screen has no event; a look costs less than a millisecond
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Tells an installer that has never asked for its kickstart.
fn not_asked(media: &Media, waited: Duration) -> Option<StageFailure> {
    let unserved = waited >= KICKSTART && media.serves && !media.was_served();
    unserved.then(|| {
        let limit = crate::model::Duration::from(KICKSTART);
        failure(format!(
            "the installer has not asked for its kickstart within {limit} of the boot keys"
        ))
    })
}

/// The ISO: at its place with the provider, or its file in the store, downloaded if need be.
async fn install_medium(
    host: &Host,
    context: &StageContext,
    resolver: &Resolver<'_>,
    (provider, iso): (&dyn Provider, &IsoSource),
) -> Result<Medium, ExecError> {
    if let Some(file) = iso.urls.first().and_then(|url| stage_output(context, url)) {
        return Ok(Medium::file(
            host.store.use_object(&file.digest)?,
            file.digest,
        ));
    }
    if let Some(digest) = iso.checksum.as_ref().and_then(sha256)
        && provider.has_medium(&digest).await?
    {
        context.output.line("the provider has the iso already");
        return Ok(Medium {
            path: None,
            digest: Some(digest),
            place: None,
        });
    }
    let urls: Vec<String> = iso
        .urls
        .iter()
        .map(|url| resolver.text(url))
        .collect::<Result<_, _>>()?;
    if let Some(place) = urls.iter().find(|url| Medium::is_place(url)) {
        return Ok(Medium {
            path: None,
            digest: None,
            place: Some(place.clone()),
        });
    }
    context.output.step("fetching the iso");
    let (progress, notice) = (context.output.clone(), context.output.clone());
    let request = FetchRequest {
        urls,
        checksum: iso.checksum.clone().unwrap_or(Checksum::None),
        root: &host.root,
        cache: &host.cache,
        stored: &|digest| host.store.use_object(digest).ok(),
        progress: &move |done, total| progress.progress(done, total),
        notice: &move |text: String| notice.line(&text),
        cancel: &context.cancel,
    };
    let fetched = fetch(&request).await?;
    let put = match fetched.place {
        Place::Stored => return Ok(Medium::file(fetched.path, fetched.digest)),
        Place::Downloaded => Put::Move,
        Place::Local => Put::Copy,
    };
    // it is worth keeping, whatever becomes of the stage
    host.store.adopt(&fetched.digest)?;
    let stored = host.store.put_file(&fetched.path, put)?;
    Ok(Medium::file(host.store.path(&stored.digest), stored.digest))
}

/// What stands in the way of an ISO that lies with the provider, as far as its place is known.
pub(super) async fn preflight(provider: &dyn Provider, iso: &IsoSource) -> Option<ProviderError> {
    let urls = iso.urls.iter().filter_map(Text::as_literal);
    let place = urls.into_iter().find(|url| Medium::is_place(url))?;
    // one that has been uploaded here before is taken from there
    if let Some(digest) = iso.checksum.as_ref().and_then(sha256)
        && provider.has_medium(&digest).await.ok()?
    {
        return None;
    }
    provider.preflight_medium(&place).await
}

/// The digest that a checksum is, if it is one of this kind.
fn sha256(checksum: &Checksum) -> Option<Digest> {
    match checksum {
        Checksum::Hex {
            algorithm: Algorithm::Sha256,
            hex,
        } => Digest::parse(hex).ok(),
        _ => None,
    }
}

fn stage_output<'c>(context: &'c StageContext, url: &crate::model::Text) -> Option<&'c StoredFile> {
    url.late().find_map(|late| match late {
        Late::Output { stage, output } => context.upstream.get(stage)?.files.get(output),
        _ => None,
    })
}

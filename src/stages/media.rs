//! Kickstart files as the installer gets them: on a floppy, on a CD, or by HTTP. The server that hands them out also
//! takes what installers report, however they got their files.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::failure::{failure, io};
use super::resolve::{Resolver, Served};
use crate::engine::{ExecError, Output, StageFailure, reported};
use crate::model::{self, IsoBase, Kickstart, Late, MediaFile, MediaVia};
use crate::net::{Heard, Hearing, MediaContent, MediaServer};
use crate::provider::Provider;

/// As many requests for what is not there are named in a failure.
const NAMED: usize = 5;

/// The medium, ready for the machine.
#[derive(Default)]
pub(super) struct Media {
    /// A floppy image.
    pub floppy: Option<Vec<u8>>,
    /// A CD image.
    pub cd: Option<Vec<u8>>,
    /// The server; it stops when this is dropped.
    server: Option<MediaServer>,
    /// The installer gets its files from the server.
    pub serves: bool,
}

impl Media {
    /// The machine has been started.
    pub(super) fn begin(&self) {
        if let Some(server) = &self.server {
            server.begin();
        }
    }

    /// Whether any file was fetched.
    pub(super) fn was_served(&self) -> bool {
        let served = |heard: &Hearing| heard.requests.iter().any(|asked| asked.status == 200);
        let server = self.server.as_ref();
        server.is_some_and(|server| served(&server.hearing().borrow()))
    }

    /// Returns when the installer reports that it has failed.
    pub(super) async fn failed(&self) -> StageFailure {
        let Some(server) = &self.server else {
            return std::future::pending().await;
        };
        let mut hearing = server.hearing();
        let failed = hearing.wait_for(|heard| heard.failure().is_some()).await;
        match failed.ok().and_then(|heard| heard.failure()) {
            Some(why) => failure(format!("the installer reports that it has failed: {why}")),
            None => std::future::pending().await,
        }
    }

    /// Adds to a failure what the server has heard, and what it has not.
    pub(super) fn told(&self, mut failure: StageFailure) -> StageFailure {
        let Some(server) = &self.server else {
            return failure;
        };
        // its own: what follows asks again
        let heard = server.hearing().borrow().clone();
        if self.serves && heard.requests.is_empty() {
            failure.help.push(format!(
                "the installer has fetched nothing: no request came to port {} of this host. The boot keys may have been typed at the wrong moment or name another address, or the installer has no network",
                server.port()
            ));
        }
        let mut missing: Vec<&str> = Vec::new();
        for asked in heard.requests.iter().filter(|asked| asked.status == 404) {
            if !missing.contains(&asked.path.as_str()) && missing.len() < NAMED {
                missing.push(&asked.path);
            }
        }
        if let (false, Some(last)) = (
            missing.is_empty(),
            heard.requests.iter().rfind(|asked| asked.status == 404),
        ) {
            let missing: Vec<String> = missing.iter().map(|path| format!("/{path}")).collect();
            let what = if self.was_served() { "also " } else { "only " };
            failure.help.push(format!(
                "the installer has {what}asked for what is not there: {}; {}",
                missing.join(", "),
                last.detail
            ));
        }
        if let Some(report) = heard.reports.iter().rfind(|told| told.failure().is_none()) {
            let words = reported(&report.name, &report.message);
            failure
                .help
                .push(format!("the last that the installer has reported: {words}"));
        }
        failure
    }
}

/// Makes the medium, and starts the server if anything needs it; with the server's address the resolver fills in
/// `http.*` and `forge.report`.
pub(super) async fn make<'a>(
    resolver: Resolver<'a>,
    kind: &IsoBase,
    provider: &dyn Provider,
    output: &Output,
) -> Result<(Media, Resolver<'a>), ExecError> {
    let mut media = Media {
        serves: kind
            .kickstart
            .as_ref()
            .is_some_and(|kickstart| kickstart.via == MediaVia::Http),
        ..Media::default()
    };
    let mut resolver = resolver;
    if media.serves || reports(kind) {
        let address = provider.host_address().await?;
        let server = start(&address, provider.on_server(), output).await?;
        resolver = resolver.with_http(Some(Served {
            ip: address,
            port: server.port(),
            report: server.report_path(),
        }));
        media.server = Some(server);
    }
    let Some(kickstart) = &kind.kickstart else {
        return Ok((media, resolver));
    };
    let files = files(&resolver, kickstart)?;
    match (kickstart.via, &media.server) {
        (MediaVia::Floppy, _) => {
            let floppy = crate::image::fat::floppy(&kickstart.label, &files);
            media.floppy = Some(floppy.map_err(|e| failure(e.to_string()))?);
        }
        (MediaVia::Cd, _) => {
            let cd = crate::image::iso::write(&kickstart.label, &files);
            media.cd = Some(cd.map_err(|e| failure(e.to_string()))?);
        }
        (MediaVia::Http, Some(server)) => {
            let files = files.into_iter();
            let served: BTreeMap<String, MediaContent> = files
                .map(|(path, bytes)| (path, MediaContent::Bytes(bytes)))
                .collect();
            server.serve(served);
        }
        (MediaVia::Http, None) => {}
    }
    Ok((media, resolver))
}

/// Whether the installer is told where to report to.
fn reports(kind: &IsoBase) -> bool {
    let files = kind.kickstart.iter().flat_map(|kickstart| &kickstart.files);
    let texts = files.filter_map(|file| match file {
        MediaFile::Text { content, .. } => Some(content),
        MediaFile::Copy { .. } => None,
    });
    let mut lates = texts.chain([&kind.boot.keys]).flat_map(model::Text::late);
    lates.any(|late| matches!(late, Late::Report))
}

/// Starts the server where the guests of the provider reach it, and nobody else does as far as that can be had.
async fn start(address: &str, remote: bool, output: &Output) -> Result<MediaServer, StageFailure> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let address = address.parse::<IpAddr>().ok();
    let everywhere = match address {
        Some(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    // an address that is told need not be one of this host's own: there may be a translation in between
    let places = match remote {
        false => vec![loopback],
        true => address.into_iter().chain([everywhere]).collect(),
    };
    let mut wrong = String::new();
    for place in places {
        let voice = output.clone();
        let ear = move |heard: Heard<'_>, after: Duration| tell(&voice, &heard, after);
        match MediaServer::start(SocketAddr::new(place, 0), ear).await {
            Ok(server) => return Ok(server),
            Err(error) => wrong = error.to_string(),
        }
    }
    Err(StageFailure {
        environment: true,
        ..failure(format!("cannot start the kickstart server: {wrong}"))
    })
}

/// Says what the server has heard.
fn tell(output: &Output, heard: &Heard<'_>, after: Duration) {
    match heard {
        Heard::Report(report) => output.report(&report.name, &report.message, after),
        Heard::Request(asked) => {
            let (path, detail) = (&asked.path, &asked.detail);
            let after_words = model::Duration::from_secs(after.as_secs());
            let text = match asked.status {
                200 => format!("{path} fetched after {after_words}"),
                404 => format!("{path} was asked for and is not there; {detail}"),
                _ => format!("{path} was asked for: {detail}"),
            };
            output.request(path, asked.status, after, &text);
        }
    }
}

fn files(
    resolver: &Resolver<'_>,
    kickstart: &Kickstart,
) -> Result<Vec<(String, Vec<u8>)>, StageFailure> {
    kickstart
        .files
        .iter()
        .map(|file| match file {
            MediaFile::Text { path, content } => {
                Ok((path.clone(), resolver.text(content)?.into_bytes()))
            }
            MediaFile::Copy { path, source } => {
                let source = resolver.root().join(source);
                Ok((
                    path.clone(),
                    std::fs::read(&source).map_err(|e| io("read", &source, &e))?,
                ))
            }
        })
        .collect()
}

//! Kickstart files as the installer gets them: on a floppy, on a CD, or by HTTP.

use std::collections::BTreeMap;

use super::Host;
use super::failure::{failure, io};
use super::resolve::Resolver;
use crate::engine::{ExecError, Output, StageFailure};
use crate::model::{Kickstart, MediaFile, MediaVia};
use crate::net::{MediaContent, MediaServer};

/// The medium, ready for the machine.
#[derive(Default)]
pub(super) struct Media {
    /// A floppy image.
    pub floppy: Option<Vec<u8>>,
    /// A CD image.
    pub cd: Option<Vec<u8>>,
    /// The server; it stops when this is dropped.
    pub server: Option<MediaServer>,
}

/// Makes the medium. With HTTP the files that mention `http.*` are filled in once the port is known.
pub(super) async fn make(
    host: &Host,
    resolver: &Resolver<'_>,
    kickstart: Option<&Kickstart>,
    output: &Output,
) -> Result<Media, ExecError> {
    let Some(kickstart) = kickstart else {
        return Ok(Media::default());
    };
    let mut media = Media::default();
    match kickstart.via {
        MediaVia::Floppy => {
            let files = files(host, resolver, kickstart)?;
            media.floppy = Some(
                crate::image::fat::floppy(&kickstart.label, &files)
                    .map_err(|e| failure(e.to_string()))?,
            );
        }
        MediaVia::Cd => {
            let files = files(host, resolver, kickstart)?;
            media.cd = Some(
                crate::image::iso::write(&kickstart.label, &files)
                    .map_err(|e| failure(e.to_string()))?,
            );
        }
        MediaVia::Http => {
            let files = files(host, resolver, kickstart)?;
            let served: BTreeMap<String, MediaContent> = files
                .into_iter()
                .map(|(path, bytes)| (path, MediaContent::Bytes(bytes)))
                .collect();
            let log = output.clone();
            let bind = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
            let server = MediaServer::start(bind, served, move |line: String| log.line(&line))
                .await
                .map_err(|e| failure(format!("cannot start the kickstart server: {e}")))?;
            media.server = Some(server);
        }
    }
    Ok(media)
}

fn files(
    host: &Host,
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
                let source = host.root.join(source);
                Ok((
                    path.clone(),
                    std::fs::read(&source).map_err(|e| io("read", &source, &e))?,
                ))
            }
        })
        .collect()
}

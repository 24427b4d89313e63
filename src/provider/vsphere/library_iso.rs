//! Install media that lie in content libraries: `library://LIBRARY/ITEM`, or `library://LIBRARY/ITEM/FILE.iso`.

use super::library::absent;
use super::place::Misfit;
use super::{Lab, misfit, translate};
use crate::model::LIBRARY;
use crate::provider::ProviderError;
use crate::vim::{LibraryFile, LibraryItem};

/// An address in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address<'a> {
    library: &'a str,
    item: &'a str,
    file: Option<&'a str>,
}

impl<'a> Address<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (library, rest) = text.strip_prefix(LIBRARY)?.split_once('/')?;
        let (item, file) = match rest.split_once('/') {
            Some((item, file)) => (item, Some(file)),
            None => (rest, None),
        };
        Some(Self {
            library,
            item,
            file,
        })
    }
}

/// Where the medium at `place` lies, as `[datastore] path`; what is written so stays as it is.
pub(super) async fn find(lab: &Lab, place: &str) -> Result<String, ProviderError> {
    let Some(address) = Address::parse(place) else {
        return Ok(place.to_owned());
    };
    let library = lab.library(address.library).await?;
    let item = lab.client.library_item(&library, address.item).await;
    let Some(item) = item.map_err(translate)? else {
        let names = lab.client.library_item_names(&library).await;
        let what = format!("item in the library `{}`:", address.library);
        return Err(absent(&what, address.item, &names.map_err(translate)?));
    };
    let files = lab.client.library_files(&item).await.map_err(translate)?;
    let file = choose(address, &item, &files).map_err(misfit)?;
    match lab.client.library_path(file).await.map_err(translate)? {
        Some(path) => Ok(path.to_string()),
        None => Err(misfit(Misfit {
            message: format!(
                "the content library `{}` does not lie on a datastore, and a drive cannot read its files",
                address.library
            ),
            help: "put the ISO into a library that lies on a datastore".into(),
        })),
    }
}

/// The ISO that is meant.
fn choose<'f>(
    address: Address<'_>,
    item: &LibraryItem,
    files: &'f [LibraryFile],
) -> Result<&'f LibraryFile, Misfit> {
    let Address {
        library,
        item: name,
        file,
    } = address;
    let is_iso = |file: &&LibraryFile| file.name.to_lowercase().ends_with(".iso");
    let isos: Vec<&LibraryFile> = match file {
        Some(wanted) => files.iter().filter(|file| file.name == wanted).collect(),
        None => files.iter().filter(is_iso).collect(),
    };
    let list = |files: &[&LibraryFile]| {
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        names.join(", ")
    };
    let (message, help) = match isos[..] {
        [only] if only.cached => return Ok(only),
        // of an item that has not come, not even the files' names are known
        [_] | [] if !item.cached => (
            format!(
                "the item `{name}` of the content library `{library}` is known, but its files have not come yet"
            ),
            "synchronize the item in vCenter, and run it again".to_owned(),
        ),
        [only] => (
            format!(
                "`{}` of the item `{name}` of the content library `{library}` has not come yet",
                only.name
            ),
            "synchronize the item in vCenter, and run it again".to_owned(),
        ),
        [] => (
            match file {
                Some(file) => format!(
                    "the item `{name}` of the content library `{library}` has no file `{file}`"
                ),
                None => format!("the item `{name}` of the content library `{library}` has no ISO"),
            },
            match files {
                [] => "it has no files at all".to_owned(),
                _ => format!("its files: {}", list(&files.iter().collect::<Vec<_>>())),
            },
        ),
        _ => (
            format!("the item `{name}` of the content library `{library}` has several ISOs"),
            format!(
                "name one of them, as in `{LIBRARY}{library}/{name}/FILE.iso`: {}",
                list(&isos)
            ),
        ),
    };
    Err(Misfit { message, help })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Size;

    fn chosen(address: &str, cached: bool, files: &[(&str, bool)]) -> Result<String, String> {
        let item = LibraryItem {
            id: "1".into(),
            name: "debian".into(),
            kind: "iso".into(),
            description: String::new(),
            version: "2".into(),
            cached,
        };
        let files: Vec<LibraryFile> = files
            .iter()
            .map(|(name, cached)| LibraryFile {
                name: (*name).to_owned(),
                size: Size::from_bytes(1),
                cached: *cached,
                uris: Vec::new(),
                datastore: None,
            })
            .collect();
        choose(Address::parse(address).unwrap(), &item, &files)
            .map(|file| file.name.clone())
            .map_err(|misfit| format!("{} -- {}", misfit.message, misfit.help))
    }

    #[test]
    fn the_iso_of_an_item_is_found_or_it_is_said_why_not() {
        let item = "library://os/debian";
        let one = chosen(item, true, &[("debian.ISO", true), ("sums.txt", true)]);
        assert_eq!(one.as_deref(), Ok("debian.ISO"));
        let named = chosen(
            "library://os/debian/b.iso",
            true,
            &[("a.iso", true), ("b.iso", true)],
        );
        assert_eq!(named.as_deref(), Ok("b.iso"));
        for (address, cached, files, expected) in [
            (
                item,
                true,
                &[("a.iso", true), ("b.iso", true)][..],
                "the item `debian` of the content library `os` has several ISOs -- \
                 name one of them, as in `library://os/debian/FILE.iso`: a.iso, b.iso",
            ),
            (
                item,
                true,
                &[("a.ovf", true)][..],
                "the item `debian` of the content library `os` has no ISO -- its files: a.ovf",
            ),
            (
                "library://os/debian/b.iso",
                true,
                &[("a.iso", true)][..],
                "the item `debian` of the content library `os` has no file `b.iso` -- its files: a.iso",
            ),
            (
                item,
                false,
                &[][..],
                "the item `debian` of the content library `os` is known, but its files have not come yet -- \
                 synchronize the item in vCenter, and run it again",
            ),
        ] {
            assert_eq!(chosen(address, cached, files), Err(expected.to_owned()));
        }
        assert_eq!(Address::parse("[ds] a.iso"), None);
    }
}

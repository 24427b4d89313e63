//! Makes an OVF 1.x descriptor one of version 2: another name space, and elements of their own for drives and network cards.

use quick_xml::events::{BytesEnd, BytesStart, Event};
use quick_xml::{Reader, Writer};

use super::adapt::text_in;
use super::{OvfError, parse};

const FIRST: &str = "http://schemas.dmtf.org/ovf/envelope/1";
const SECOND: &str = "http://schemas.dmtf.org/ovf/envelope/2";
const RESOURCE: &str = "/CIM_ResourceAllocationSettingData";

/// What stands in a hardware section, in the order that the schema wants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Head,
    Item,
    Storage,
    Ethernet,
    Others,
}

/// Items that have an element and a name space of their own.
struct Own {
    place: Place,
    element: &'static str,
    prefix: &'static str,
    namespace: &'static str,
    /// CIM's resource types.
    kinds: &'static [&'static str],
}

/// The name spaces are those of the standard's text, which VirtualBox and COT write too.
const OWN: [Own; 2] = [
    Own {
        place: Place::Storage,
        element: "StorageItem",
        prefix: "sasd",
        namespace: "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_StorageAllocationSettingData.xsd",
        // CDs, DVDs, disks
        kinds: &["15", "16", "17"],
    },
    Own {
        place: Place::Ethernet,
        element: "EthernetPortItem",
        prefix: "epasd",
        namespace: "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_EthernetPortAllocationSettingData.xsd",
        kinds: &["10"],
    },
];

/// The descriptor as one of version 2; what is one already stays as it is.
pub fn to_version_2(text: &str) -> Result<String, OvfError> {
    if parse(text.as_bytes())?.version == 2 {
        return Ok(text.to_owned());
    }
    let mut rewriter = Rewriter {
        reader: Reader::from_str(text.trim_start_matches('\u{feff}')),
        writer: Writer::new(Vec::with_capacity(text.len() + 1024)),
        prefix: None,
    };
    let mut root = true;
    loop {
        match rewriter.next()? {
            Event::Eof => break,
            Event::Start(start) => {
                if std::mem::take(&mut root) {
                    rewriter.prefix = prefix_of(&start);
                    rewriter.put(Event::Start(of_root(&start)))?;
                    continue;
                }
                let section = start.local_name().as_ref() == b"VirtualHardwareSection";
                rewriter.put(Event::Start(start))?;
                if section {
                    rewriter.hardware()?;
                }
            }
            other => rewriter.put(other)?,
        }
    }
    Ok(String::from_utf8_lossy(&rewriter.writer.into_inner()).into_owned())
}

struct Rewriter<'a> {
    reader: Reader<&'a [u8]>,
    writer: Writer<Vec<u8>>,
    /// What stands for the name space of items.
    prefix: Option<String>,
}

impl<'a> Rewriter<'a> {
    fn next(&mut self) -> Result<Event<'a>, OvfError> {
        let offset = self.reader.buffer_position();
        self.reader.read_event().map_err(|e| OvfError::Xml {
            offset,
            what: e.to_string(),
        })
    }

    fn put(&mut self, event: Event<'_>) -> Result<(), OvfError> {
        let offset = self.reader.buffer_position();
        self.writer.write_event(event).map_err(|e| OvfError::Xml {
            offset,
            what: e.to_string(),
        })
    }

    /// Items get other names, which takes a name for their own name space.
    fn known_items(&self, piece: &[Event<'_>]) -> Result<(), OvfError> {
        let is_item = |event: &Event<'_>| match event {
            Event::Start(start) => start.local_name().as_ref() == b"Item",
            _ => false,
        };
        if self.prefix.is_some() || !piece.iter().any(is_item) {
            return Ok(());
        }
        Err(OvfError::Xml {
            offset: self.reader.buffer_position(),
            what: "the envelope declares no prefix for the settings of hardware items (`xmlns:rasd`), which version 2 needs".into(),
        })
    }

    /// A hardware section from its start to its end. What stands in front of an element goes with it.
    fn hardware(&mut self) -> Result<(), OvfError> {
        let (mut pieces, mut piece, mut depth) = (Vec::new(), Vec::new(), 0_usize);
        loop {
            let event = self.next()?;
            match &event {
                Event::Start(_) => depth += 1,
                Event::End(_) if depth > 0 => depth -= 1,
                Event::End(_) | Event::Eof => {
                    piece.push(event);
                    break;
                }
                _ => {}
            }
            let ends = depth == 0 && matches!(event, Event::End(_) | Event::Empty(_));
            piece.push(event);
            if ends {
                self.known_items(&piece)?;
                pieces.push(placed(std::mem::take(&mut piece), self.prefix.as_deref()));
            }
        }
        pieces.sort_by_key(|(place, _)| *place);
        let pieces = pieces.into_iter().flat_map(|(_, events)| events);
        pieces.chain(piece).try_for_each(|event| self.put(event))
    }
}

/// Where a child of a hardware section belongs, and what it is there.
fn placed<'a>(events: Vec<Event<'a>>, prefix: Option<&str>) -> (Place, Vec<Event<'a>>) {
    let name = events.iter().find_map(|event| match event {
        Event::Start(start) | Event::Empty(start) => {
            Some(String::from_utf8_lossy(start.local_name().as_ref()).into_owned())
        }
        _ => None,
    });
    let place = match name.as_deref() {
        Some("Info" | "System") => Place::Head,
        Some("Item") => Place::Item,
        Some(_) | None => Place::Others,
    };
    let kind = text_in(&events, b"ResourceType").map(|(_, kind)| kind);
    let own = OWN
        .iter()
        .find(|own| place == Place::Item && own.kinds.iter().any(|k| Some(*k) == kind.as_deref()));
    match own {
        None => (place, events),
        Some(own) => {
            let changed = events.into_iter().map(|event| own.event(event, prefix));
            (own.place, changed.collect())
        }
    }
}

impl Own {
    fn event<'a>(&self, event: Event<'a>, prefix: Option<&str>) -> Event<'a> {
        match event {
            Event::Start(mut start) => {
                let name = self.name(start.name().as_ref(), prefix);
                start.set_name(name.as_bytes());
                Event::Start(start)
            }
            Event::Empty(mut start) => {
                let name = self.name(start.name().as_ref(), prefix);
                start.set_name(name.as_bytes());
                Event::Empty(start)
            }
            Event::End(end) => Event::End(BytesEnd::new(self.name(end.name().as_ref(), prefix))),
            other => other,
        }
    }

    fn name(&self, name: &[u8], prefix: Option<&str>) -> String {
        let name = String::from_utf8_lossy(name);
        let (own, local) = match name.split_once(':') {
            Some((own, local)) => (Some(own), local),
            None => (None, &*name),
        };
        match own {
            Some(own) if Some(own) == prefix => format!("{}:{local}", self.prefix),
            Some(own) if local == "Item" => format!("{own}:{}", self.element),
            None if local == "Item" => self.element.to_owned(),
            _ => name.into_owned(),
        }
    }
}

/// The root with the other name space, and those of the new elements.
fn of_root(start: &BytesStart<'_>) -> BytesStart<'static> {
    let text = String::from_utf8_lossy(start);
    let mut text = text.into_owned();
    for quote in ['"', '\''] {
        text = text.replace(&format!("{FIRST}{quote}"), &format!("{SECOND}{quote}"));
    }
    for own in &OWN {
        if !text.contains(&format!("xmlns:{}=", own.prefix)) {
            text = format!(
                "{} xmlns:{}=\"{}\"",
                text.trim_end(),
                own.prefix,
                own.namespace
            );
        }
    }
    let name = start.name().as_ref().len();
    BytesStart::from_content(text, name)
}

fn prefix_of(root: &BytesStart<'_>) -> Option<String> {
    root.attributes().flatten().find_map(|attribute| {
        let value = String::from_utf8_lossy(&attribute.value).into_owned();
        let prefix = attribute.key.as_ref().strip_prefix(b"xmlns:")?;
        value
            .trim_end_matches(".xsd")
            .ends_with(RESOURCE)
            .then(|| String::from_utf8_lossy(prefix).into_owned())
    })
}

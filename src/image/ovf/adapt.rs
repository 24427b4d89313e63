//! Makes a descriptor one that VirtualBox takes and runs as it is meant: cards and controllers that it does not know become
//! their nearest kin, and what it need not have is marked so. VMware's programs still take the result.

use quick_xml::events::{BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

use super::{OvfError, first_word};

/// A descriptor made for another importer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapted {
    /// The descriptor.
    pub text: String,
    /// What became what, for people.
    pub changes: Vec<String>,
}

/// Changes a descriptor for VirtualBox; what is no hardware stays as it is, to the letter.
pub fn for_virtualbox(text: &str) -> Result<Adapted, OvfError> {
    let mut reader = Reader::from_str(text);
    let mut writer = Writer::new(Vec::with_capacity(text.len()));
    let mut changes = Vec::new();
    let mut item: Option<Vec<Event<'_>>> = None;
    loop {
        let at = reader.buffer_position();
        let fail = |what: String| OvfError::Xml { offset: at, what };
        let event = reader.read_event().map_err(|e| fail(e.to_string()))?;
        let starts = matches!(&event, Event::Start(start) if is_item(start));
        let ends = matches!(&event, Event::End(end) if item_name(end.local_name().as_ref()));
        match &mut item {
            None if starts => item = Some(vec![event]),
            None => {
                if matches!(event, Event::Eof) {
                    break;
                }
                writer.write_event(event).map_err(|e| fail(e.to_string()))?;
            }
            Some(_) if matches!(event, Event::Eof) => {
                return Err(fail("an item is not closed".into()));
            }
            Some(events) => events.push(event),
        }
        if ends && let Some(events) = item.take() {
            for event in adapt(events, &mut changes) {
                writer.write_event(event).map_err(|e| fail(e.to_string()))?;
            }
        }
    }
    Ok(Adapted {
        text: String::from_utf8_lossy(&writer.into_inner()).into_owned(),
        changes,
    })
}

fn item_name(name: &[u8]) -> bool {
    matches!(name, b"Item" | b"StorageItem" | b"EthernetPortItem")
}

fn is_item(start: &BytesStart<'_>) -> bool {
    item_name(start.local_name().as_ref())
}

/// The resource types that VirtualBox's reader knows.
const KNOWN: &[&str] = &["3", "4", "5", "6", "10", "14", "15", "17", "20", "23", "35"];

/// What VirtualBox has instead of a device.
fn instead(kind: &str, subtype: &str) -> Option<&'static str> {
    match (kind, first_word(subtype).as_str()) {
        ("6", "virtualscsi") => Some("lsilogic"),
        ("20", "vmware.nvme.controller") => Some("AHCI"),
        ("10", "vmxnet3" | "vmxnet2" | "vmxnet" | "e1000e" | "flexible") => Some("E1000"),
        _ => None,
    }
}

fn adapt<'a>(mut events: Vec<Event<'a>>, changes: &mut Vec<String>) -> Vec<Event<'a>> {
    let kind = text_in(&events, b"ResourceType").map(|(_, text)| text);
    let Some(kind) = kind else {
        return events;
    };
    if let Some((at, subtype)) = text_in(&events, b"ResourceSubType")
        && let Some(other) = instead(&kind, &subtype)
    {
        changes.push(format!("`{subtype}` becomes `{other}`"));
        events[at] = Event::Text(BytesText::from_escaped(other));
    }
    if !KNOWN.contains(&kind.as_str())
        && let Some(Event::Start(start)) = events.first()
        && let Some(optional) = optional(start)
    {
        changes.push(format!(
            "the device of resource type {kind} need not be there"
        ));
        events[0] = Event::Start(optional);
    }
    events
}

/// The text of the item's child of this name, and where it stands.
pub(super) fn text_in(events: &[Event<'_>], name: &[u8]) -> Option<(usize, String)> {
    let at = events
        .iter()
        .position(|e| matches!(e, Event::Start(start) if start.local_name().as_ref() == name))?;
    match events.get(at + 1)? {
        Event::Text(text) => Some((at + 1, text.decode().ok()?.trim().to_owned())),
        _ => None,
    }
}

/// The item with `ovf:required="false"`; `None` if it has it.
fn optional(start: &BytesStart<'_>) -> Option<BytesStart<'static>> {
    let mut attributes = start.attributes().flatten();
    let required = attributes.find(|a| a.key.local_name().as_ref() == b"required");
    match required {
        Some(attribute) if attribute.value.as_ref() == b"false" => None,
        Some(attribute) => {
            let name = start.name();
            let mut changed = BytesStart::new(String::from_utf8_lossy(name.as_ref()).into_owned());
            let key = attribute.key;
            for other in start.attributes().flatten().filter(|a| a.key != key) {
                changed.push_attribute(other);
            }
            changed.push_attribute((key.as_ref(), &b"false"[..]));
            Some(changed.into_owned())
        }
        None => {
            let mut changed = start.clone().into_owned();
            changed.push_attribute(("ovf:required", "false"));
            Some(changed)
        }
    }
}

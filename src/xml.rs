//! What readers of XML share.

use quick_xml::events::Event;

/// The text that an event adds; none for comments and the like. An error says in words what has no place in a document.
pub fn text_of(event: &Event<'_>) -> Result<Option<String>, String> {
    Ok(match event {
        Event::Text(text) => Some(text.decode().map_err(|e| e.to_string())?.into_owned()),
        Event::CData(data) => Some(data.decode().map_err(|e| e.to_string())?.into_owned()),
        Event::GeneralRef(reference) => {
            if let Some(c) = reference.resolve_char_ref().map_err(|e| e.to_string())? {
                return Ok(Some(c.to_string()));
            }
            let name = reference.decode().map_err(|e| e.to_string())?;
            let known = quick_xml::escape::resolve_predefined_entity(&name);
            Some(known.ok_or(format!("`&{name};` is not known"))?.to_owned())
        }
        Event::DocType(_) => return Err("a document type has no place in it".into()),
        _ => None,
    })
}

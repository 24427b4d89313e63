//! What can be tested without a vCenter: reading, writing, judging, and a session with a scripted server.

mod addresses;
mod faults;
mod session;
mod specs;
mod watch;
mod xml;

use super::{Element, Xml};

/// The inside of what is written.
fn written(write: impl FnOnce(&mut Xml)) -> String {
    let mut xml = Xml::new();
    write(&mut xml);
    xml.into_string()
}

/// The names of an element's children, in order.
fn names(element: &Element) -> Vec<&str> {
    element.children.iter().map(|c| c.name.as_str()).collect()
}

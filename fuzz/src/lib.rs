//! forge's readers of foreign bytes, without the rest of forge, so that fuzzing builds in a minute.

#[path = "../../src/model/mod.rs"]
pub mod model;

#[path = "../../src/diag/mod.rs"]
pub mod diag;

#[path = "../../src/sys/mod.rs"]
pub mod sys;

#[path = "../../src/xml.rs"]
pub mod xml;

#[path = "../../src/image/mod.rs"]
pub mod image;

//! forge builds virtual-machine images from one file, and reruns only what is out of date.
//!
//! The modules stand in layers: **a module may import only modules declared above it here**, and a folder's insides are
//! reached through its `mod.rs`. A test reads this order and holds the code to it.
//!
//! A run in seven steps: [`cli`] reads argv → `config::load` gives a [`model::Project`] → `plan::Graph::new` proves it
//! acyclic → `stages::survey` gives a `Snapshot` of digests and identities → `plan::make` gives a `Plan` →
//! `engine::run` drives it through the stages' executors, committing to the `store` → [`report`] shows the events.
//! `forge plan` is the first five.

// The nouns, valid by construction; no I/O.
pub mod model;

// Source text, spans, diagnostics with hints, near names, and how they are drawn.
pub mod diag;

// The language of gossfiles: templates, matchers, verdicts, reports; reaches no system.
pub mod goss;

// The text of `builds.toml` and `vars/` to a [`model::Project`], or every fault with its span.
pub mod config;

// Pure: a project and a snapshot of facts to a graph, fingerprints, what runs and why.
pub mod plan;

// The one door to the operating system: files, processes, clock, locks, cancellation, clean-up.
pub mod sys;

// What readers of XML share.
pub mod xml;

// Content store, records, run history, stat cache, collection.
pub mod store;

// Downloads with resume and checksum; the kickstart server.
pub mod net;

// The vim25 API of vCenter and ESXi: SOAP, sessions, properties, tasks, files, leases; knows no stage.
pub mod vim;

// Bytes of formats: VMDK, qcow2, OVF, OVA, FAT, ISO 9660; knows no machine.
pub mod image;

// The machine from inside: SSH, upload, commands, checks; knows no hypervisor.
pub mod guest;

// The machine from outside: create, power, type, export; knows no SSH.
pub mod provider;

// Drives a plan: states, resources, retries, cancellation, events; names no provider and no format.
pub mod engine;

// One file per stage kind; the one place where provider, guest, image, net and store meet.
pub mod stages;

// Events, plans and diagnostics to terminal, plain lines, JSON and `JUnit`.
pub mod report;

// Arguments, wiring, exit codes; one file per command.
pub mod cli;

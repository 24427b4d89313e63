//! See `targets::manifest`.

#![no_main]

#[allow(dead_code, reason = "each target is one of several")]
#[path = "../src/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::manifest(data));

//! Sealed files.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vonggac_agent::fuzz::sealed_file(data));

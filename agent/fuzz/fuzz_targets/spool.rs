//! A segment of a spool.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vonggac_agent::fuzz::segment(data));

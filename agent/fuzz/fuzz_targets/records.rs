//! Lines of one file put together.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vonggac_agent::fuzz::records(data));

//! A line by a format of its choosing.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vonggac_agent::fuzz::line(data));

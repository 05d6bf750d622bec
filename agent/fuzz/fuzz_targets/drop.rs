//! Files that older portals drop.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vonggac_agent::fuzz::dropped(data));

//! Frames of a syslog stream: where it is cut on its way makes no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (u16, &[u8])| vonggac_agent::fuzz::frames(data.1, usize::from(data.0)));

//! What applications post to the usage socket.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vonggac_wire::Time;

fuzz_target!(|data: &[u8]| vonggac_agent::fuzz::posted(data, Time::from_seconds(1_795_510_800)));

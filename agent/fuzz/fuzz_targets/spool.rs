//! A spool's segment with whatever in it: no panic, and a whole record behind the damage is found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vonggac_agent::fuzz;

fuzz_target!(|data: (&[u8], &[u8])| {
    let (noise, event) = data;
    let (alone, _) = fuzz::segment(noise);
    let mut segment = noise.to_vec();
    segment.extend(fuzz::record(7, event));
    let (records, whole) = fuzz::segment(&segment);
    assert!(whole <= segment.len());
    // What looks like the head of a longer record may hold it; nothing else hides it.
    assert!(records >= alone);
});

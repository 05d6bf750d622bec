//! Lines of one file put together: every line is given out once.
#![no_main]

use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use vonggac_agent::format::{self, Context, join::Joiner};
use vonggac_wire::Time;

fuzz_target!(|data: &[u8]| {
    let mut joiner = Joiner::default();
    let start = 1_795_510_800;
    let context = Context::at(Time::from_seconds(start), TimeZone::UTC);
    let (mut pushed, mut given) = (0, 0);
    for (at, line) in data.split(|byte| *byte == b'\n').enumerate() {
        pushed += 1;
        let now = Time::from_seconds(start + at as i64);
        let context = context.clone().with_columns(joiner.header());
        for joined in joiner.push(line, 0, now) {
            given += joined.lines;
            let _event = format::event("auto", &joined.text, joined.cut_bytes, &context);
        }
    }
    given += joiner.finish().iter().map(|joined| joined.lines).sum::<u64>();
    assert_eq!(pushed, given);
});

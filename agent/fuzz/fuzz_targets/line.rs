//! A line by a format of its choosing: no panic, and what the line was is kept.
#![no_main]

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use vonggac_agent::{
    format::{self, Context},
    redact::Redactor,
};
use vonggac_wire::Time;

static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(format::names);

fuzz_target!(|data: &[u8]| {
    let Some((pick, line)) = data.split_first() else { return };
    // Half of them as they are met, the others by a format that was named, wrongly mostly.
    let name = NAMES.get(usize::from(*pick)).copied().unwrap_or("auto");
    let context = Context::at(Time::from_seconds(1_795_510_800), TimeZone::UTC);
    let (event, _) = format::event(name, line, 0, &context);
    assert_eq!(event.raw(), line);
    let _redacted = Redactor::default().apply(event);
});

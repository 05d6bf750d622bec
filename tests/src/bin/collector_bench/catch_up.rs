//! After an outage: how much faster than real time its events become rows.

use std::time::{Duration, Instant};

use system_tests::traffic::Load;
use vonggac_wire::Time;

use crate::{
    Options,
    site::{Site, told_memory},
};

/// Events a second before, during and after the outage.
const PER_SECOND: u32 = 5_000;

/// How long it lasts.
const OUTAGE_SECONDS: u64 = 3_600;

pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let Some(site) = Site::up().await? else { return Ok(()) };
    let seconds = options.of(OUTAGE_SECONDS);
    let events = seconds * u64::from(PER_SECOND);
    let start = Time::now().minus(Duration::from_secs(seconds));
    site.prepare(&mut Load::new(start, PER_SECOND)?, events)?;
    let begun = Instant::now();
    let collectors = [site.collector("one")?];
    let caught = site.caught_up(&collectors, events, begun).await?;
    let took = begun.elapsed().as_secs_f64();
    println!(
        "| an outage of {seconds} s at {PER_SECOND} events/s | measured |\n|---|---|\n| {events} events are rows after | {took:.0} s, the collector's start among them |\n\
         | times real time | {:.1} |\n| rows/s behind the first block | {:.0} |\n\
         | the collector's memory at the beginning / halfway / at the end / at most | {} MB |",
        seconds as f64 / took,
        caught.rate(),
        told_memory(&caught.memory)
    );
    Ok(())
}

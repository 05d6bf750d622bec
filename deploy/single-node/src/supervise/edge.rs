//! Processes, files and signals around the core.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use prometheus::{IntGaugeVec, Opts, Registry};
use tokio_util::sync::CancellationToken;

use super::{Core, Effect, Event, Moment};
use crate::{
    layout::Layout,
    parts::{Part, answers},
    state::{Condition, PartState, State, usage},
};

/// How often parts are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes of a log before it is put aside; one older log is kept.
const LOG_BYTES_MAX: u64 = 16 << 20;

struct Running {
    part: Part,
    child: Option<Child>,
    restarts: u32,
    last_error: String,
    told: Option<Condition>,
    since: Timestamp,
}

/// Runs the parts until `stop`, then stops them in order.
///
/// # Errors
/// If the state or a log cannot be written.
pub fn run(
    layout: &Layout,
    plan: Vec<Part>,
    stop: &CancellationToken,
    registry: &Registry,
) -> io::Result<()> {
    let ready = gauges(registry, "part_ready", "1 when the part is ready")?;
    let restarts = gauges(registry, "part_restarts", "Times that the part was started again")?;
    let memory = gauges(registry, "part_resident_memory_bytes", "Memory of the part")?;
    let begun = Instant::now();
    let now = || Moment::new(begun.elapsed());
    let needs: Vec<(Vec<usize>, Duration)> = plan
        .iter()
        .map(|part| {
            let after = part
                .after
                .iter()
                .filter_map(|name| plan.iter().position(|other| other.name == *name))
                .collect();
            (after, part.grace)
        })
        .collect();
    let mut core = Core::new(&needs, now());
    let mut all: Vec<Running> = plan
        .into_iter()
        .map(|part| Running {
            part,
            child: None,
            restarts: 0,
            last_error: String::new(),
            told: None,
            since: Timestamp::now(),
        })
        .collect();
    let (tell, told) = mpsc::channel();
    let probing = CancellationToken::new();
    probe(&all, &probing, &tell);
    let mut asked = false;
    loop {
        let mut events = vec![Event::Tick];
        if stop.is_cancelled() && !asked {
            asked = true;
            events.push(Event::Stop);
        }
        for (index, running) in all.iter_mut().enumerate() {
            let Some(child) = &mut running.child else { continue };
            if let Some(status) = child.try_wait()? {
                running.child = None;
                running.last_error = format!("ended: {status}");
                tracing::warn!(part = running.part.name, %status, "a part ended");
                events.push(Event::Ended(index));
            }
        }
        events.extend(told.try_iter().map(Event::Answered));
        for event in events {
            for effect in core.apply(event, now()) {
                if effect == Effect::Done {
                    probing.cancel();
                    write_state(layout, &core, &mut all)?;
                    return Ok(());
                }
                act(layout, effect, &mut all)?;
            }
        }
        write_state(layout, &core, &mut all)?;
        for (index, running) in all.iter().enumerate() {
            let name = running.part.name;
            ready
                .with_label_values(&[name])
                .set(i64::from(core.condition(index) == Condition::Ready));
            restarts.with_label_values(&[name]).set(running.restarts.into());
            let rss = running
                .child
                .as_ref()
                .and_then(|child| usage(child.id()))
                .map_or(0, |(rss, _)| rss);
            memory.with_label_values(&[name]).set(i64::try_from(rss).unwrap_or(0));
        }
        thread::sleep(LOOK);
    }
}

fn gauges(registry: &Registry, name: &str, help: &str) -> io::Result<IntGaugeVec> {
    let gauges = IntGaugeVec::new(Opts::new(format!("vonggac_single_{name}"), help), &["part"])
        .map_err(io::Error::other)?;
    registry.register(Box::new(gauges.clone())).map_err(io::Error::other)?;
    Ok(gauges)
}

/// A thread that asks every part's address now and then.
fn probe(all: &[Running], stop: &CancellationToken, tell: &mpsc::Sender<usize>) {
    let addresses: Vec<_> = all.iter().map(|running| running.part.ready).collect();
    let (stop, tell) = (stop.clone(), tell.clone());
    thread::spawn(move || {
        while !stop.is_cancelled() {
            for (index, address) in addresses.iter().enumerate() {
                if answers(*address) && tell.send(index).is_err() {
                    return;
                }
            }
            thread::sleep(LOOK * 2);
        }
    });
}

fn act(layout: &Layout, effect: Effect, all: &mut [Running]) -> io::Result<()> {
    match effect {
        Effect::Start(index) => {
            let Some(running) = all.get_mut(index) else { return Ok(()) };
            if running.told.is_some() && running.told != Some(Condition::Waiting) {
                running.restarts += 1;
            }
            tracing::info!(part = running.part.name, "starting");
            match start(layout, &running.part) {
                Ok(child) => running.child = Some(child),
                Err(error) => {
                    running.last_error = error.to_string();
                    tracing::error!(part = running.part.name, %error, "cannot be started");
                }
            }
        }
        Effect::Terminate(index) => signal(all.get_mut(index), false),
        Effect::Kill(index) => signal(all.get_mut(index), true),
        Effect::Done => {}
    }
    Ok(())
}

fn signal(running: Option<&mut Running>, kill: bool) {
    let Some(child) = running.and_then(|running| running.child.as_mut()) else { return };
    if kill {
        let _gone = child.kill();
        return;
    }
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// Starts a part in a process group of its own, bound to this process' life, its output in the log folder.
fn start(layout: &Layout, part: &Part) -> io::Result<Child> {
    use std::os::unix::process::CommandExt;
    let log = log(&layout.path(&format!("log/{}.log", part.name)))?;
    Command::new(std::env::current_exe()?)
        .arg("child")
        .arg("--")
        .args(&part.command)
        .current_dir(&layout.root)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
}

/// Opens a log; one that grew too large is put aside first.
fn log(path: &Path) -> io::Result<File> {
    if path.metadata().is_ok_and(|data| data.len() > LOG_BYTES_MAX) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    let mut log = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(log, "--- started {}", Timestamp::now())?;
    Ok(log)
}

fn write_state(layout: &Layout, core: &Core, all: &mut [Running]) -> io::Result<()> {
    let mut changed = false;
    for (index, running) in all.iter_mut().enumerate() {
        let condition = core.condition(index);
        if running.told != Some(condition) {
            running.since = Timestamp::now();
            running.told = Some(condition);
            changed = true;
        }
    }
    if !changed {
        return Ok(());
    }
    let mut state =
        State { supervisor: std::process::id(), port_base: layout.port_base, ..State::default() };
    for (index, running) in all.iter().enumerate() {
        state.parts.insert(
            running.part.name.to_owned(),
            PartState {
                state: core.condition(index),
                pid: running.child.as_ref().map_or(0, Child::id),
                since: running.since.to_string(),
                restarts: running.restarts,
                address: running.part.address.to_string(),
                last_error: running.last_error.clone(),
            },
        );
    }
    state.write(&layout.root)
}

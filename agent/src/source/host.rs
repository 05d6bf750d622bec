//! The host's figures.

use std::{collections::BTreeMap, time::Duration};

use sysinfo::{
    CpuRefreshKind, DiskRefreshKind, Disks, MemoryRefreshKind, Networks, RefreshKind, System,
};
use vonggac_wire::{
    Event, Time,
    event::{Body, FilesystemFigures, HostFigures, NetworkFigures},
};

use super::{Running, Source, SourceContext, SourceError};
use crate::intake::{Chunk, Entry};

/// Interfaces and file systems that are told; the rest of a strange host is left out.
const ITEMS_MAX: usize = 32;

pub(super) struct Host {
    interval: Duration,
}

impl Host {
    pub(super) const fn new(interval: Duration) -> Self {
        Self { interval }
    }
}

impl Source for Host {
    fn name(&self) -> String {
        "host figures".into()
    }

    fn settings(&self) -> String {
        format!("host {:?}", self.interval)
    }

    fn run(&self, context: SourceContext) -> Running {
        Box::pin(take(context, self.interval))
    }
}

async fn take(context: SourceContext, interval: Duration) -> Result<(), SourceError> {
    let kinds = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing().with_usage())
        .with_memory(MemoryRefreshKind::everything());
    let missing =
        |error: sysinfo::Error| SourceError::Missing(format!("the host gives no figures: {error}"));
    let mut system = System::new_with_specifics(kinds).map_err(missing)?;
    let mut disks =
        Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing().with_storage())
            .map_err(missing)?;
    let mut networks = Networks::new_with_refreshed_list().map_err(missing)?;
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // A CPU's use is a difference: the first look only begins it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    loop {
        tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        system.refresh_specifics(kinds);
        disks.refresh_specifics(true, DiskRefreshKind::nothing().with_storage());
        networks.refresh(true);
        let figures = figures(&system, &disks, &networks);
        let now = Time::now();
        let event = Event::new(now, now, Body::HostFigures(figures)).with_source("host", 0);
        let chunk = Chunk { entries: vec![Entry { event, position: None }], ..Chunk::default() };
        if context.intake.send(chunk).await.is_err() {
            return Ok(());
        }
    }
}

fn figures(system: &System, disks: &Disks, networks: &Networks) -> HostFigures {
    let load = System::load_average().unwrap_or_default();
    // A device that is mounted several times fills once; the shortest path names it.
    let mut filesystems: BTreeMap<String, FilesystemFigures> = BTreeMap::new();
    for disk in disks.iter() {
        let kind = disk.file_system().to_string_lossy().into_owned();
        if disk.total_space() == 0
            || matches!(
                kind.as_str(),
                "tmpfs" | "devtmpfs" | "overlay" | "squashfs" | "proc" | "sysfs" | "ramfs"
            )
        {
            continue;
        }
        let mountpoint = disk.mount_point().to_string_lossy().into_owned();
        let device = disk.name().to_string_lossy().into_owned();
        let fresh = FilesystemFigures {
            used_bytes: disk.total_space().saturating_sub(disk.available_space()),
            limit_bytes: disk.total_space(),
            mountpoint,
        };
        match filesystems.get(&device) {
            Some(known) if known.mountpoint.len() <= fresh.mountpoint.len() => {}
            _ => {
                filesystems.insert(device, fresh);
            }
        }
    }
    let networks = networks
        .iter()
        .filter(|(name, _)| name.to_string_lossy() != "lo")
        .take(ITEMS_MAX)
        .map(|(name, data)| NetworkFigures {
            interface: name.to_string_lossy().into_owned(),
            receive_bytes: data.total_received(),
            transmit_bytes: data.total_transmitted(),
            errors: data.total_errors_on_received() + data.total_errors_on_transmitted(),
        })
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "seconds since the host started")]
    let uptime_seconds = System::uptime().unwrap_or_default() as f64;
    HostFigures {
        cpu_utilization: f64::from(system.global_cpu_usage()) / 100.0,
        cpu_count: u32::try_from(system.cpus().len()).unwrap_or(0),
        memory_used_bytes: system.used_memory(),
        memory_limit_bytes: system.total_memory(),
        swap_used_bytes: system.used_swap(),
        swap_limit_bytes: system.total_swap(),
        load_1m: load.one,
        load_5m: load.five,
        load_15m: load.fifteen,
        filesystems: filesystems.into_values().take(ITEMS_MAX).collect(),
        networks,
        uptime_seconds,
    }
}

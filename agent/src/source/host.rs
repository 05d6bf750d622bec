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

/// Bytes of a file system.
struct Room {
    all: u64,
    free: u64,
    /// What of it everybody may take: not what is kept for root, or lies beyond a quota.
    open: u64,
}

impl Room {
    /// One of which nothing is known to be kept back.
    const fn of(all: u64, free: u64) -> Self {
        Self { all, free, open: free }
    }

    const fn used(&self) -> u64 {
        self.all.saturating_sub(self.free)
    }

    /// As `df` counts: what is kept back is neither used nor to be had.
    const fn limit(&self) -> u64 {
        self.used().saturating_add(self.open)
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
        let room = rustix::fs::statvfs(disk.mount_point()).map(|stat| {
            let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
            Room {
                all: bytes(stat.f_blocks),
                free: bytes(stat.f_bfree),
                open: bytes(stat.f_bavail),
            }
        });
        let room = room.unwrap_or_else(|_| Room::of(disk.total_space(), disk.available_space()));
        let fresh =
            FilesystemFigures { used_bytes: room.used(), limit_bytes: room.limit(), mountpoint };
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

#[cfg(test)]
mod tests {
    use super::Room;

    #[test]
    fn what_is_kept_back_neither_fills_a_disk_nor_is_room_in_it() {
        let kept = Room { all: 252, free: 181, open: 21 };
        assert_eq!((kept.used(), kept.limit()), (71, 92));
        let plain = Room::of(100, 40);
        assert_eq!((plain.used(), plain.limit()), (60, 100));
        let strange = Room { all: 0, free: 5, open: 5 };
        assert_eq!((strange.used(), strange.limit()), (0, 5));
    }
}

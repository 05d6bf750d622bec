//! What the agent takes of its host, from `/proc/self`.

use std::{fs, os::unix::fs::MetadataExt, time::Duration};

use super::{Reading, Sample};

/// Entries of `/proc/self/fd` that are not counted: the looking itself has the folder open.
const OF_THE_LOOK: u64 = 1;

/// What is taken now. What cannot be told counts as nothing.
#[must_use]
pub fn sample(reading: &Reading) -> Sample {
    let (log_files, log_files_closed) = reading.log_files();
    Sample {
        cpu: cpu(),
        resident_bytes: resident_bytes(),
        open_files: open_files(),
        log_files,
        log_files_closed,
    }
}

/// Resident bytes of this process.
#[must_use]
pub(super) fn resident_bytes() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or_default() * rustix::param::page_size() as u64
}

/// CPU time of this process, in user and system mode.
#[must_use]
pub(super) fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// Open files of this process. Newer kernels tell it as the folder's size, others have it counted.
fn open_files() -> u64 {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).map(|data| data.size()) {
        Ok(0) | Err(_) => fs::read_dir(FOLDER)
            .map_or(0, |entries| (entries.count() as u64).saturating_sub(OF_THE_LOOK)),
        Ok(count) => count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_takes() {
        let reading = Reading::default();
        let before = sample(&reading);
        assert!(before.resident_bytes > 1 << 20, "{before:?}");
        let held: Vec<_> = (0..100).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        // Other tests open and close files in this process.
        let after = open_files();
        assert!(after + 50 > before.open_files + 100, "{before:?}, {after}");
        drop(held);
        let begun = cpu();
        let mut sum = 0_u64;
        while cpu() - begun < Duration::from_millis(20) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
        }
        assert!(sample(&reading).cpu >= begun + Duration::from_millis(20));
    }
}

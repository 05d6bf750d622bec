//! Who did it: the audit records of late that name a file, remembered while their files are looked at.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use vonggac_wire::{
    Event, Time,
    event::{Class, Status},
};

/// Records that are remembered.
const RECORDS_MAX: usize = 1_024;

/// A record that is older, or younger, than the file's change by more speaks of another one.
const APART_MAX: Duration = Duration::from_secs(30);

/// Bytes of a command that are remembered.
const COMMAND_BYTES_MAX: usize = 512;

/// Who.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// `actor.user.name`: who logged in, if audit knows.
    pub user: String,
    /// The program.
    pub process: String,
    /// Its number.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    time: Time,
    path: String,
}

/// The memory. It costs nothing until somebody asks for it.
#[derive(Debug, Default)]
pub struct Trail {
    wanted: AtomicBool,
    records: Mutex<VecDeque<Who>>,
}

impl Trail {
    /// Begins to remember.
    pub(super) fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Remembers an event, if it is auditd's of a file that was changed.
    pub(crate) fn note(&self, event: &Event) {
        if !self.wanted.load(Ordering::Relaxed) || !event.format().starts_with("audit") {
            return;
        }
        let Some(activity) = event.activity() else { return };
        // An opening may have been for writing: the file's own change tells that it was.
        let of_file = activity.class() == Class::FileSystem && !activity.file_path.is_empty();
        if !of_file || activity.status() == Status::Failure {
            return;
        }
        let mut command = activity.process_cmd_line.clone();
        while command.len() > COMMAND_BYTES_MAX {
            command.pop();
        }
        let process = activity.unmapped.get("exe").unwrap_or(&activity.process_name).clone();
        let who = Who {
            user: activity.actor_user_name.clone(),
            process,
            pid: activity.process_pid,
            command,
            time: event.time(),
            path: activity.file_path.clone(),
        };
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= RECORDS_MAX {
            records.pop_front();
        }
        records.push_back(who);
    }

    /// The last one who had this path in hand about then.
    pub(super) fn who(&self, path: &str, at: Time) -> Option<Who> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let near = |who: &&Who| {
            who.path == path && who.time.since(at) <= APART_MAX && at.since(who.time) <= APART_MAX
        };
        records.iter().rev().find(near).cloned()
    }
}

#[cfg(test)]
mod tests {
    use vonggac_wire::event::{Activity, Body};

    use super::*;

    fn event(path: &str, seconds: i64, format: &str) -> Event {
        let activity = Activity {
            file_path: path.into(),
            actor_user_name: "lan".into(),
            process_name: "vi".into(),
            ..Activity::of(Class::FileSystem, 2, Status::Success)
        };
        let time = Time::from_seconds(seconds);
        Event::new(time, time, Body::Activity(activity)).with_format(format)
    }

    #[test]
    fn who_changed_a_file_is_told_by_the_record_that_is_near_and_memory_is_bounded() {
        let trail = Trail::default();
        trail.note(&event("/etc/hosts", 100, "auditd"));
        assert_eq!(trail.who("/etc/hosts", Time::from_seconds(100)), None, "nobody wanted it");
        trail.want();
        trail.note(&event("/etc/hosts", 100, "auditd"));
        trail.note(&event("/etc/motd", 100, "sshd"));
        let who = trail.who("/etc/hosts", Time::from_seconds(101)).unwrap();
        assert_eq!((who.user.as_str(), who.process.as_str()), ("lan", "vi"));
        assert_eq!(trail.who("/etc/hosts", Time::from_seconds(200)), None);
        assert_eq!(trail.who("/etc/motd", Time::from_seconds(100)), None);
        for n in 0..3000 {
            trail.note(&event(&format!("/{n}"), 100, "auditd"));
        }
        assert_eq!(trail.records.lock().unwrap().len(), RECORDS_MAX);
    }
}

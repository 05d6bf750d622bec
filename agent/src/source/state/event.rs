//! Differences as events, each of the OCSF class that its kind has.

use vonggac_wire::{
    Event, Time,
    event::{Activity, Body, Class, Status, TimeDoubt},
};

use super::{
    StateKind,
    item::{Change, Fields, Items},
};

/// Groups whose members may do what root may, or see what only root should.
const GROUPS: [&str; 12] = [
    "root",
    "sudo",
    "wheel",
    "admin",
    "adm",
    "docker",
    "lxd",
    "shadow",
    "disk",
    "libvirt",
    "kvm",
    "systemd-journal",
];

/// The letters of a module's taint that say nobody vouches for it.
const TAINTS: [char; 3] = ['O', 'E', 'F'];

/// The first look at a kind; `damage`: why what was known could not be used.
pub(super) fn of_first(kind: StateKind, count: usize, damage: Option<&str>, now: Time) -> Event {
    let mut activity = Activity::of(Class::DeviceConfigState, 1, Status::Success);
    activity.severity_id = 1;
    activity.status_detail = "state-known".into();
    activity.message = format!("{count} {} are known from now on", kind.name());
    if let Some(why) = damage {
        activity.status_id = Status::Failure.id();
        activity.severity_id = 3;
        activity.status_detail = "state-damaged".into();
        activity.message = format!(
            "what was known of {} was damaged; changes since the agent's last look cannot be told: {why}; {}",
            kind.name(),
            activity.message
        );
    }
    activity.unmapped.insert("state.kind".into(), kind.thing().into());
    event(activity, now)
}

fn event(activity: Activity, now: Time) -> Event {
    Event::new(now, now, Body::Activity(activity))
        .with_source("state", 0)
        .with_format("state")
        .with_time_doubt(TimeDoubt::Observed)
}

/// The events of all differences of one kind.
pub(super) fn of(
    kind: StateKind,
    changes: &[Change],
    before: &Items,
    after: &Items,
    now: Time,
) -> Vec<Event> {
    let nothing = Fields::new();
    let mut activities = Vec::new();
    for change in changes {
        let (key, others): (_, &[String]) = match change {
            Change::Added(key) | Change::Removed(key) => (key, &[]),
            Change::Changed(key, others) => (key, others),
        };
        let told = Told {
            kind,
            key,
            change,
            others,
            before: before.get(key).unwrap_or(&nothing),
            now: after.get(key).unwrap_or(&nothing),
        };
        let mut activity = told.activity();
        told.common(&mut activity);
        let members = if kind == StateKind::Groups { told.members() } else { Vec::new() };
        let only_members = others.len() == 1 && others.iter().any(|name| name == "members");
        if !only_members {
            activities.push(activity);
        }
        activities.extend(members);
    }
    activities.into_iter().map(|activity| event(activity, now)).collect()
}

/// One difference.
struct Told<'a> {
    kind: StateKind,
    key: &'a str,
    change: &'a Change,
    others: &'a [String],
    before: &'a Fields,
    now: &'a Fields,
}

impl Told<'_> {
    /// What it is, or was.
    fn thing(&self) -> &Fields {
        if matches!(self.change, Change::Removed(_)) { self.before } else { self.now }
    }

    fn field(&self, name: &str) -> &str {
        self.thing().get(name).map_or("", String::as_str)
    }

    fn old(&self, name: &str) -> &str {
        self.before.get(name).map_or("", String::as_str)
    }

    fn is_other(&self, name: &str) -> bool {
        self.others.iter().any(|other| other == name)
    }

    /// One of three, by what happened.
    fn by<T>(&self, added: T, removed: T, changed: T) -> T {
        match self.change {
            Change::Added(_) => added,
            Change::Removed(_) => removed,
            Change::Changed(..) => changed,
        }
    }

    /// What all kinds have: the fields as they are, and as they were.
    fn common(&self, activity: &mut Activity) {
        let unmapped = &mut activity.unmapped;
        unmapped.insert("state.kind".into(), self.kind.thing().into());
        unmapped.insert("change".into(), self.by("added", "removed", "changed").into());
        for (name, value) in self.thing().iter().filter(|(name, _)| !name.starts_with('_')) {
            if !value.is_empty() {
                unmapped.insert(format!("{}.{name}", self.kind.thing()), value.clone());
            }
        }
        let names: Vec<&str> =
            self.others.iter().map(|name| name.trim_start_matches('_')).collect();
        if !names.is_empty() {
            unmapped.insert("changed".into(), names.join(","));
        }
        for name in self.others.iter().filter(|name| !name.starts_with('_')) {
            unmapped.insert(format!("before.{name}"), self.old(name).to_owned());
        }
    }

    fn activity(&self) -> Activity {
        match self.kind {
            StateKind::Packages => self.package(),
            StateKind::Users => self.user(),
            StateKind::Groups => self.group(),
            StateKind::Ports => self.port(),
            StateKind::Units => self.unit(),
            StateKind::Jobs => self.job(),
            StateKind::Modules => self.module(),
            StateKind::Mounts => self.mount(),
            StateKind::Keys => self.ssh_key(),
            StateKind::Certificates => self.certificate(),
        }
    }

    fn of(&self, class: Class, number: u32, severity: u32, message: String) -> Activity {
        let mut activity = Activity::of(class, number, Status::Success);
        activity.severity_id = severity;
        activity.message = message;
        activity
    }

    fn package(&self) -> Activity {
        let (name, version) = (self.key, self.field("version"));
        let message = match self.change {
            Change::Added(_) => format!("package {name} was installed: {version}"),
            Change::Removed(_) => format!("package {name} was removed: {version}"),
            Change::Changed(..) => {
                format!("package {name} is another version: {} to {version}", self.old("version"))
            }
        };
        self.of(Class::SoftwareInventory, self.by(1, 2, 3), self.by(2, 2, 1), message)
    }

    fn user(&self) -> Activity {
        let locked = self.is_other("password") && self.field("password") == "locked";
        let number = match self.change {
            Change::Added(_) => 1,
            Change::Removed(_) => 6,
            Change::Changed(..) if locked => 9,
            Change::Changed(..) if self.is_other("_password") => 3,
            Change::Changed(..) => 99,
        };
        let is_root = self.field("uid") == "0" && self.key != "root";
        let severity = if self.field("password") == "empty" || is_root {
            5
        } else if self.is_other("uid") || self.is_other("shell") || self.key == "root" {
            4
        } else {
            3
        };
        let what = match self.change {
            Change::Added(_) => "was added",
            Change::Removed(_) => "was removed",
            Change::Changed(..) if locked => "was locked",
            Change::Changed(..) if number == 3 => "has another password",
            Change::Changed(..) => "was changed",
        };
        let message = format!(
            "user {} {what}: UID={}, GID={}, home={}, shell={}",
            self.key,
            self.field("uid"),
            self.field("gid"),
            self.field("home"),
            self.field("shell")
        );
        let mut activity = self.of(Class::AccountChange, number, severity, message);
        activity.user_name = self.key.into();
        activity
    }

    fn group(&self) -> Activity {
        let what = self.by("was added", "was removed", "was changed");
        let message = format!("group {} {what}: GID={}", self.key, self.field("gid"));
        let number = self.by(5, 6, 99);
        let mut activity = self.of(Class::GroupManagement, number, 2, message);
        activity.group_name = self.key.into();
        activity
    }

    /// One event for each who came or went.
    fn members(&self) -> Vec<Activity> {
        let of = |fields: &Fields| -> Vec<String> {
            let members = fields.get("members").map_or("", String::as_str);
            members.split(',').filter(|name| !name.is_empty()).map(Into::into).collect()
        };
        let (before, now) = (of(self.before), of(self.now));
        let came = now.iter().filter(|name| !before.contains(name)).map(|name| (3, name));
        let went = before.iter().filter(|name| !now.contains(name)).map(|name| (4, name));
        let severity = if GROUPS.contains(&self.key) { 4 } else { 2 };
        came.chain(went)
            .map(|(number, user)| {
                let group = self.key;
                let message = if number == 3 {
                    format!("add '{user}' to group '{group}'")
                } else {
                    format!("remove '{user}' from group '{group}'")
                };
                let mut activity = self.of(Class::GroupManagement, number, severity, message);
                activity.user_name.clone_from(user);
                activity.group_name = group.into();
                let unmapped = &mut activity.unmapped;
                unmapped.insert("state.kind".into(), self.kind.thing().into());
                unmapped
                    .insert("change".into(), if number == 3 { "added" } else { "removed" }.into());
                activity
            })
            .collect()
    }

    fn port(&self) -> Activity {
        let ip = self.field("ip").parse::<std::net::IpAddr>().ok();
        let outside = ip.is_none_or(|ip| !ip.is_loopback());
        let what = self.by("is open", "is closed", "is held by another");
        let holder = match self.field("process") {
            "" => String::new(),
            name => format!(" by {name} ({})", self.field("program")),
        };
        let message = format!("port {} {what}{holder}", self.key);
        let severity = if outside { self.by(3, 2, 3) } else { self.by(2, 1, 2) };
        let mut activity = self.of(Class::DeviceConfigState, 1, severity, message);
        if let Some(ip) = ip {
            activity.set_destination_address(ip);
        }
        activity.dst_port = self.field("port").parse().unwrap_or(0);
        activity.process_name = self.field("process").into();
        activity
    }

    fn unit(&self) -> Activity {
        let is_timer = self.key.ends_with(".timer");
        let (number, what, severity) = match self.change {
            Change::Added(_) => (1, "was added", 3),
            Change::Removed(_) => (2, "was removed", 2),
            Change::Changed(..) if self.is_other("state") && self.field("state") == "failed" => {
                (4, "failed", 3)
            }
            Change::Changed(..) if self.is_other("command") => (8, "runs another command", 4),
            Change::Changed(..) if self.is_other("starts") => match self.field("starts") {
                "by itself" => (6, "starts by itself", 3),
                "masked" => (7, "is masked", 3),
                _ => (7, "does not start by itself any more", 3),
            },
            Change::Changed(..) if self.is_other("state") => (3, "did not fail again", 1),
            Change::Changed(..) => (8, "was changed", 3),
        };
        let command = match (self.field("command"), self.field("schedule")) {
            ("", "") => String::new(),
            ("", schedule) => format!(": {schedule}"),
            (command, _) => format!(": {command}"),
        };
        let message = format!("unit {} {what}{command}", self.key);
        let class = if is_timer { Class::ScheduledJob } else { Class::ApplicationLifecycle };
        // Of a job: made, changed, removed, enabled, disabled, started.
        let of_job = match number {
            1 => 1,
            2 => 3,
            6 => 4,
            7 => 5,
            8 => 2,
            _ => 99,
        };
        let mut activity =
            self.of(class, if is_timer { of_job } else { number }, severity, message);
        if what == "failed" {
            activity.status_id = Status::Failure.id();
            activity.status_detail = "failed".into();
        }
        activity.service_name = self.key.into();
        activity.file_path = self.field("file").into();
        activity.process_cmd_line = self.field("command").into();
        activity
    }

    fn job(&self) -> Activity {
        let what = self.by("was added", "was removed", "was changed");
        let (schedule, user) = (self.field("schedule"), self.field("user"));
        let command = self.field("command");
        let message = format!("cron job of {user} {what}: {schedule} {command}");
        let severity = self.by(4, 2, 4);
        let mut activity = self.of(Class::ScheduledJob, self.by(1, 3, 2), severity, message);
        activity.user_name = user.into();
        activity.process_cmd_line = command.into();
        activity.file_path = self.field("file").into();
        activity
    }

    fn module(&self) -> Activity {
        let taint = self.field("taint");
        let strange = taint.chars().any(|letter| TAINTS.contains(&letter));
        let what = self.by("was loaded", "was unloaded", "has another taint");
        let message = format!("kernel module {} {what}; taint: {taint}", self.key);
        let severity = if strange { 4 } else { 2 };
        self.of(Class::Kernel, self.by(1, 3, 99), severity, message)
    }

    fn mount(&self) -> Activity {
        let what = self.by("was mounted", "was unmounted", "is mounted otherwise");
        let message = format!(
            "{} {what} at {}: {} {}",
            self.field("device"),
            self.key,
            self.field("type"),
            self.field("options")
        );
        let mut activity = self.of(Class::DeviceConfigState, 1, self.by(2, 2, 3), message);
        activity.file_path = self.key.into();
        activity
    }

    fn ssh_key(&self) -> Activity {
        let user = self.field("user");
        let what = self.by("was added", "was removed", "was changed");
        let whose = if user.is_empty() { "host".to_owned() } else { format!("{user}'s") };
        let message = format!(
            "{whose} SSH key {what}: {} {} {}",
            self.field("type"),
            self.field("fingerprint"),
            self.field("comment")
        );
        let class = if user.is_empty() { Class::DeviceConfigState } else { Class::AccountChange };
        let number = if user.is_empty() { 1 } else { 99 };
        let mut activity = self.of(class, number, self.by(4, 2, 4), message.trim_end().to_owned());
        activity.status_detail =
            self.by("ssh-key-added", "ssh-key-removed", "ssh-key-changed").into();
        activity.user_name = user.into();
        activity.file_path = self.field("file").into();
        activity
    }

    fn certificate(&self) -> Activity {
        let near = self.is_other("ends") && !self.is_other("fingerprint");
        let what = match self.change {
            Change::Added(_) => "was added",
            Change::Removed(_) => "was removed",
            Change::Changed(..) if near => "comes to its end",
            Change::Changed(..) => "was replaced",
        };
        let severity = match self.field("ends") {
            _ if matches!(self.change, Change::Removed(_)) => 2,
            "ended" => 4,
            "within a day" | "within a week" => 3,
            _ => 2,
        };
        let message = format!(
            "certificate of {} {what}: ends {} ({})",
            self.field("subject"),
            self.field("not_after"),
            self.key
        );
        let mut activity = self.of(Class::DeviceConfigState, 1, severity, message);
        if near {
            activity.status_detail = "certificate-ends".into();
        }
        activity.file_path = self.key.into();
        activity
    }
}

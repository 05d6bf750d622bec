//! What earlier lines of a connection told: whence it came, who spoke, and whom it was refused to.
//!
//! Many servers name a client once, where its connection begins, and refuse it in another line that names only the connection's number
//! or process: MongoDB, PostgreSQL, slapd, sshd before its log-in. Such a line is completed by the earlier one, and says so in
//! [`EARLIER`]. A refusal whose client is told only where the connection ends is told there again, with its client. A success behind
//! refusals of other users names those in [`REFUSED_BEFORE`], and stays a success.
//!
//! Pure, and bounded by count, age and bytes. It is forgotten at a restart: then lines tell what they tell by themselves. What a line
//! says of itself is never replaced.

use std::{collections::HashMap, net::IpAddr};

use vonggac_wire::{
    Event, Time,
    event::{Activity, Body, Class, Status},
};

/// Which fields are an earlier line's, joined by commas.
pub const EARLIER: &str = "from_earlier_line";

/// Users that were refused on the same connection before this success, joined by commas.
pub const REFUSED_BEFORE: &str = "refused_before";

/// Connections of one generation; there are two. Beyond, the one that was not spoken of for longest goes first: what is forgotten
/// costs a field of a line, not the line.
const CONNECTIONS_MAX: usize = 1_024;

/// How long nothing may be heard of a connection: numbers of processes come again.
const AGE_SECONDS_MAX: i64 = 30 * 60;

/// How long after a connection's end lines may still speak of it.
const ENDED_SECONDS_MAX: i64 = 5;

/// Bytes of a kept text: names of users and hosts are shorter.
const TEXT_BYTES_MAX: usize = 128;

/// Users that one connection is known to have tried.
const REFUSED_MAX: usize = 8;

/// The connections of one source.
#[derive(Debug, Default)]
pub struct Connections {
    young: HashMap<String, Told>,
    old: HashMap<String, Told>,
    key: String,
}

/// What is known of one connection.
#[derive(Debug, Default)]
struct Told {
    address: Option<IpAddr>,
    port: u32,
    /// A client's name, where the server looks names up.
    host: String,
    user: String,
    refused: Vec<String>,
    owed: Option<Owed>,
    last: Time,
    ended: Option<Time>,
}

/// A refusal whose client no line has told yet.
#[derive(Debug)]
struct Owed {
    activity: u32,
    user: String,
    detail: String,
    protocol: String,
}

impl Connections {
    /// An event as it is with what is known of its connection, and remembers what it tells. `place`: the file or stream it was read from,
    /// as numbers of connections are of one program's log.
    #[must_use]
    pub fn complete(&mut self, place: &str, event: Event) -> Event {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        let has_key = write_key(&mut key, place, &event).is_some();
        let event = if has_key { self.meet(&key, event) } else { event };
        self.key = key;
        event
    }

    fn meet(&mut self, key: &str, event: Event) -> Event {
        let now = event.time();
        let told = self.told(key);
        let age = now.seconds().abs_diff(told.last.seconds());
        let over = told.ended.is_some_and(|ended| {
            now.seconds().abs_diff(ended.seconds()) > ENDED_SECONDS_MAX.unsigned_abs()
        });
        if over || age > AGE_SECONDS_MAX.unsigned_abs() {
            *told = Told::default();
        }
        told.last = now;
        event.with_edits(|_, body| {
            if let Body::Activity(activity) = body {
                told.meet(activity, now);
            }
        })
    }

    /// What is known of a connection; the generation that was not spoken of goes when another is full.
    fn told(&mut self, key: &str) -> &mut Told {
        if !self.young.contains_key(key) {
            if self.young.len() >= CONNECTIONS_MAX {
                self.old = std::mem::take(&mut self.young);
            }
            let told = self.old.remove(key).unwrap_or_default();
            self.young.insert(key.to_owned(), told);
        }
        self.young.entry(key.to_owned()).or_default()
    }
}

/// Whether a process of this format's program serves one connection alone.
fn is_of_process(format: &str, activity: &Activity) -> bool {
    match format {
        "sshd" | "dropbear" | "postgresql" | "vsftpd" | "proftpd" | "pure-ftpd" | "login" => true,
        // PAM speaks with the process of whoever asks it.
        "pam" => matches!(
            activity.process_name.as_str(),
            "sshd" | "sshd-session" | "sshd-auth" | "dropbear" | "vsftpd" | "proftpd" | "login"
        ),
        _ => false,
    }
}

/// Whether a line is of the process that listens: it speaks of one client after the other.
fn is_of_listener(format: &str, activity: &Activity) -> bool {
    activity.class() == Class::ApplicationLifecycle
        || (format == "sshd"
            && (matches!(activity.status_detail.as_str(), "penalty" | "dropped")
                || activity.message.contains(", pid = ")))
}

/// Writes what names the event's connection; `None` if nothing does.
fn write_key(key: &mut String, place: &str, event: &Event) -> Option<()> {
    let activity = event.activity()?;
    let format = event.format();
    if is_of_listener(format, activity) {
        return None;
    }
    let told = |name: &str| activity.unmapped.get(name).map(String::as_str);
    let named = told("connection")
        .or_else(|| told("context").filter(|_| format == "mongodb"))
        .filter(|name| name.bytes().any(|b| b.is_ascii_digit()));
    let process = activity.process_pid > 0 && is_of_process(format, activity);
    if named.is_none() && !process {
        return None;
    }
    let family = if format == "pam" { activity.process_name.as_str() } else { format };
    let family = if family.starts_with("sshd") { "sshd" } else { family };
    for part in [place, "\0", event.device(), "\0", family, "\0"] {
        key.push_str(part);
    }
    match named {
        // `conn12` where one line calls it so, and `#12` where another does.
        Some(name) => key.push_str(cut(name.trim_start_matches("conn"))),
        None => key.push_str(&activity.process_pid.to_string()),
    }
    Some(())
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX.min(text.len()))]
}

impl Told {
    fn meet(&mut self, activity: &mut Activity, now: Time) {
        let mut earlier: Vec<&str> = Vec::new();
        let begins = activity.class() == Class::Network && activity.activity_id == 1;
        if begins {
            *self = Self { last: self.last, ..Self::default() };
        }
        let own_place = self.place(activity, &mut earlier);
        if activity.user_name.is_empty() {
            if !self.user.is_empty() {
                activity.user_name.clone_from(&self.user);
                earlier.push("user.name");
            }
        } else if activity.user_name != self.user {
            cut(&activity.user_name).clone_into(&mut self.user);
        }
        self.outcome(activity, own_place, &mut earlier);
        if !earlier.is_empty() {
            activity.unmapped.insert(EARLIER.into(), earlier.join(","));
        }
        let closes =
            matches!(activity.class(), Class::Authentication | Class::Network | Class::Ssh)
                && activity.activity_id == 2;
        if closes {
            self.ended = Some(now);
        }
    }

    /// Where the client is: takes it from the line, else gives it to the line. Says whether the line told it.
    fn place(&mut self, activity: &mut Activity, earlier: &mut Vec<&str>) -> bool {
        const HOST: &str = "src_endpoint.hostname";
        let host = activity.unmapped.get(HOST);
        if let Some(address) = activity.source_address() {
            let other = self.address.is_some_and(|known| known != address);
            let port = activity.src_port;
            if other || (self.port > 0 && port > 0 && self.port != port) {
                // The number was given to another.
                *self = Self { last: self.last, ..Self::default() };
            }
            self.address = Some(address);
            self.port = if port > 0 { port } else { self.port };
            return true;
        }
        if let Some(host) = host {
            cut(host).clone_into(&mut self.host);
            return true;
        }
        if let Some(address) = self.address {
            activity.set_source_address(address);
            activity.src_port = self.port;
            earlier.push("src_endpoint.ip");
        } else if !self.host.is_empty() {
            activity.unmapped.insert(HOST.into(), self.host.clone());
            earlier.push(HOST);
        }
        false
    }

    fn outcome(&mut self, activity: &mut Activity, own_place: bool, earlier: &mut Vec<&str>) {
        let log_in = activity.class() == Class::Authentication;
        match activity.status() {
            Status::Failure if log_in => {
                self.refuse(activity);
                let placed = own_place || self.address.is_some() || !self.host.is_empty();
                self.owed = (!placed).then(|| Owed {
                    activity: activity.activity_id,
                    user: cut(&activity.user_name).to_owned(),
                    detail: cut(&activity.status_detail).to_owned(),
                    protocol: cut(&activity.auth_protocol).to_owned(),
                });
            }
            Status::Success if log_in => {
                self.owed = None;
                // What only repeats a success does not end the account of it.
                if activity.activity_id == 1 {
                    let mut others = std::mem::take(&mut self.refused);
                    others.retain(|user| *user != activity.user_name);
                    if !others.is_empty() {
                        activity.unmapped.insert(REFUSED_BEFORE.into(), others.join(","));
                    }
                }
            }
            Status::Unknown if own_place && (log_in || activity.class() == Class::Network) => {
                if let Some(owed) = self.owed.take() {
                    owed.pay(activity);
                    earlier.push("status_id");
                }
            }
            _ => {}
        }
    }

    /// Remembers whom the client was refused as.
    fn refuse(&mut self, activity: &Activity) {
        let user = match activity.user_name.as_str() {
            // What PAM was asked for stands there where no user is told.
            "" if activity.auth_protocol == "pam" => activity.actor_user_name.as_str(),
            user => user,
        };
        let known = self.refused.iter().any(|known| known == user);
        if !user.is_empty() && !known && self.refused.len() < REFUSED_MAX {
            self.refused.push(cut(user).to_owned());
        }
    }
}

impl Owed {
    /// The line that names the client tells of the refusal too.
    fn pay(self, activity: &mut Activity) {
        activity.class_uid = Class::Authentication.uid();
        activity.activity_id = self.activity;
        activity.status_id = Status::Failure.id();
        activity.severity_id = activity.severity_id.max(2);
        activity.status_detail = self.detail;
        if activity.user_name.is_empty() {
            activity.user_name = self.user;
        }
        if activity.auth_protocol.is_empty() {
            activity.auth_protocol = self.protocol;
        }
    }
}

#[cfg(test)]
mod tests;

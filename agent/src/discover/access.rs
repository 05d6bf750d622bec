//! Whether a user may read a file, from the owners and modes on the way to it, and what helps if not.

use std::{collections::BTreeMap, io, path::Path};

use super::host::{Host, owned};

/// The user that the agent runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    /// Its name.
    pub name: String,
    uid: u32,
    gids: Vec<u32>,
    groups: BTreeMap<u32, String>,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The file, or the folder before it that keeps the user out.
    pub place: String,
    /// Its owner's, group's and others' bits.
    pub mode: u32,
    /// A group whose members may.
    pub group: Option<String>,
}

impl Denied {
    /// What was seen.
    #[must_use]
    pub fn why(&self) -> String {
        format!("mode {:04o} of {}", self.mode & 0o7777, self.place)
    }

    /// What an administrator can do.
    #[must_use]
    pub fn remedy(&self, reader: &str) -> String {
        match &self.group {
            Some(group) => format!("usermod -aG {group} {reader}"),
            None => "let the agent read every file: see read-all.conf in its documentation".into(),
        }
    }
}

impl Reader {
    /// A user of the host; `None`: there is none of this name.
    #[must_use]
    pub fn of(host: &Host, name: &str) -> Option<Self> {
        let passwd = host.read("/etc/passwd").ok()?;
        let fields = passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.first() == Some(&name)).then_some(fields)
        })?;
        let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
        let mut reader =
            Self { name: name.to_owned(), uid, gids: vec![gid], groups: BTreeMap::new() };
        for line in host.read("/etc/group").unwrap_or_default().lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let (Some(group), Some(Ok(gid))) = (fields.first(), fields.get(2).map(|f| f.parse()))
            else {
                continue;
            };
            reader.groups.insert(gid, (*group).to_owned());
            if fields.get(3).is_some_and(|members| members.split(',').any(|m| m == name)) {
                reader.gids.push(gid);
            }
        }
        Some(reader)
    }

    /// Whether it is the administrator, who may read everything.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// It is in a group.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.gids.iter().any(|gid| self.groups.get(gid).is_some_and(|name| name == group))
    }

    /// Whether it may read a file of the host; a file that is not there is no matter of rights.
    ///
    /// # Errors
    /// What keeps it out.
    pub fn may_read(&self, host: &Host, path: &str) -> Result<(), Denied> {
        if self.is_root() {
            return Ok(());
        }
        let mut folders: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        folders.reverse();
        for folder in folders {
            // To go through a folder.
            self.may(host, &folder.to_string_lossy(), 0o1)?;
        }
        self.may(host, path, 0o4)
    }

    fn may(&self, host: &Host, path: &str, bit: u32) -> Result<(), Denied> {
        let (uid, gid, mode) = match owned(&host.real(path)) {
            Ok(owned) => owned,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) => (0, 0, 0),
        };
        self.judge(path, (uid, gid, mode), bit)
    }

    fn judge(&self, path: &str, (uid, gid, mode): (u32, u32, u32), bit: u32) -> Result<(), Denied> {
        let shift = if uid == self.uid {
            6
        } else if self.gids.contains(&gid) {
            3
        } else {
            0
        };
        if mode >> shift & bit != 0 {
            return Ok(());
        }
        // To be in root's group would be too much for reading a log.
        let helps = shift == 0 && gid != 0 && mode >> 3 & bit != 0;
        let group = helps.then(|| self.groups.get(&gid).cloned()).flatten();
        Err(Denied { place: path.to_owned(), mode, group })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_may_read_is_named_and_roots_own_group_is_not() {
        let reader = Reader {
            name: "watch".into(),
            uid: 7,
            gids: vec![70],
            groups: [(4, "adm".into()), (70, "watch".into()), (0, "root".into())].into(),
        };
        let may = |owner: u32, group: u32, mode: u32| reader.judge("/l", (owner, group, mode), 0o4);
        assert!(may(0, 0, 0o644).is_ok() && may(7, 0, 0o600).is_ok() && may(0, 70, 0o640).is_ok());
        let denied = may(0, 4, 0o640).unwrap_err();
        assert_eq!(denied.remedy("watch"), "usermod -aG adm watch");
        assert_eq!(denied.why(), "mode 0640 of /l");
        assert_eq!(may(0, 0, 0o640).unwrap_err().group, None);
        assert_eq!(may(0, 4, 0o600).unwrap_err().group, None, "the group may not either");
        assert!(may(7, 4, 0o040).is_err(), "the owner's bits count for the owner");
    }
}

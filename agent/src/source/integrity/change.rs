//! What changed between two looks; pure.

use std::collections::HashMap;

use super::entry::{Content, Entry, Kind};

/// What of a file changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aspect {
    Kind,
    Content,
    Mode,
    Owner,
    Group,
    Link,
}

impl Aspect {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Content => "content",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Group => "group",
            Self::Link => "link",
        }
    }
}

/// What happened to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Created(Entry),
    Removed(Entry),
    Moved { before: Entry, after: Entry },
    Changed { before: Entry, after: Entry, aspects: Vec<Aspect> },
}

impl Change {
    /// What it is now, or was last.
    pub(super) const fn subject(&self) -> &Entry {
        match self {
            Self::Created(entry) | Self::Removed(entry) => entry,
            Self::Moved { after, .. } | Self::Changed { after, .. } => after,
        }
    }

    /// What it was.
    pub(super) const fn before(&self) -> Option<&Entry> {
        match self {
            Self::Created(_) => None,
            Self::Removed(entry) => Some(entry),
            Self::Moved { before, .. } | Self::Changed { before, .. } => Some(before),
        }
    }

    /// What it is; `None`: it is not any more.
    pub(super) const fn after(&self) -> Option<&Entry> {
        match self {
            Self::Removed(_) => None,
            Self::Created(entry) => Some(entry),
            Self::Moved { after, .. } | Self::Changed { after, .. } => Some(after),
        }
    }
}

/// What is told of a file that was and is; empty: only its times or its place on the disk are others.
pub(super) fn aspects(before: &Entry, after: &Entry) -> Vec<Aspect> {
    let mut aspects = Vec::new();
    let mut note = |differs: bool, aspect| {
        if differs {
            aspects.push(aspect);
        }
    };
    note(before.kind != after.kind, Aspect::Kind);
    if before.kind == after.kind {
        let content = match (&before.content, &after.content) {
            (Content::Hashed { blake3: a, .. }, Content::Hashed { blake3: b, .. }) => a != b,
            // What could not be read once is judged by what a look tells.
            _ => (before.size, before.modified) != (after.size, after.modified),
        };
        note(after.kind == Kind::File && content, Aspect::Content);
        note(before.link != after.link, Aspect::Link);
    }
    // A link's own mode means nothing.
    note(before.mode != after.mode && after.kind != Kind::Link, Aspect::Mode);
    note(before.uid != after.uid, Aspect::Owner);
    note(before.gid != after.gid, Aspect::Group);
    aspects
}

/// One that came where another of the same inode and content went is one that moved.
pub(super) fn with_moves(changes: Vec<Change>) -> Vec<Change> {
    let mut gone: HashMap<(u64, u64), usize> = HashMap::new();
    for (at, change) in changes.iter().enumerate() {
        if let Change::Removed(entry) = change {
            gone.insert((entry.device, entry.inode), at);
        }
    }
    if gone.is_empty() {
        return changes;
    }
    let mut changes: Vec<Option<Change>> = changes.into_iter().map(Some).collect();
    for at in 0..changes.len() {
        let Some(Some(Change::Created(after))) = changes.get(at) else { continue };
        let Some(from) = gone.get(&(after.device, after.inode)).copied() else { continue };
        let same = |before: &Entry| {
            before.kind == after.kind
                && before.content == after.content
                && before.link == after.link
        };
        let Some(Some(Change::Removed(before))) = changes.get(from) else { continue };
        if same(before) {
            let moved = Change::Moved { before: before.clone(), after: after.clone() };
            if let Some(place) = changes.get_mut(from) {
                *place = None;
            }
            if let Some(place) = changes.get_mut(at) {
                *place = Some(moved);
            }
        }
    }
    changes.into_iter().flatten().collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn entry(path: &str, inode: u64, content: u8) -> Entry {
        Entry {
            path: path.into(),
            kind: Kind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 7,
            modified: 1,
            changed: 1,
            device: 1,
            inode,
            content: Content::Hashed { blake3: [content; 32], sha256: [content; 32] },
            link: "".into(),
            text: Vec::new(),
        }
    }

    #[test]
    fn each_aspect_is_told_by_itself_and_times_alone_are_not() {
        let before = entry("/a", 1, 1);
        let mut after = Entry { modified: 2, changed: 3, inode: 9, ..before.clone() };
        assert_eq!(aspects(&before, &after), []);
        after.mode = 0o4755;
        after.uid = 5;
        after.gid = 5;
        assert_eq!(aspects(&before, &after), [Aspect::Mode, Aspect::Owner, Aspect::Group]);
        assert_eq!(aspects(&before, &entry("/a", 1, 2)), [Aspect::Content]);
        let large = Entry { content: Content::TooLarge, ..before.clone() };
        assert_eq!(aspects(&large, &large), []);
        assert_eq!(aspects(&large, &Entry { size: 8, ..large.clone() }), [Aspect::Content]);
        let link = Entry { kind: Kind::Link, content: Content::None, link: "/x".into(), ..before };
        assert_eq!(
            aspects(&link, &Entry { mode: 1, link: "/y".into(), ..link.clone() }),
            [Aspect::Link]
        );
    }

    #[test]
    fn a_file_that_moved_is_one_change_and_an_inode_used_again_is_two() {
        let moved = with_moves(vec![
            Change::Removed(entry("/a", 5, 1)),
            Change::Created(entry("/b", 5, 1)),
            Change::Removed(entry("/c", 6, 1)),
            Change::Created(entry("/d", 6, 2)),
        ]);
        assert_eq!(moved.len(), 3);
        assert!(matches!(&moved[0], Change::Moved { before, after }
            if before.path.ends_with("a") && after.path.ends_with("b")));
    }
}

//! Searches under a name: who may have which. Pure.

use vonggac_wire::proto::{SavedSearch, change_saved_search_request::Change};

use crate::allowance::Role;

/// Characters of a name: it stands in a list.
pub const NAME_CHARACTERS_MAX: usize = 80;

/// Characters of a line: as many as the console's field takes.
pub const LINE_CHARACTERS_MAX: usize = 500;

/// Searches of one owner: more than anybody finds again.
pub const OF_OWNER_MAX: usize = 100;

/// Searches in all: the list is one answer.
pub const ALL_MAX: usize = 5_000;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name.
    pub name: String,
    /// As what.
    pub role: Role,
}

/// Why a change was not made, as a word with what it is about behind it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Observers look alone.
    #[error("observer")]
    Observer,
    /// There is none of that name or id.
    #[error("not-found {0}")]
    NotFound(String),
    /// Several have that name.
    #[error("ambiguous {0}")]
    Ambiguous(String),
    /// It is somebody else's.
    #[error("not-owner {0}")]
    NotOwner(String),
    /// The owner has another of that name there.
    #[error("name-taken {0}")]
    NameTaken(String),
    /// A search needs a name.
    #[error("name-empty")]
    NameEmpty,
    /// See [`NAME_CHARACTERS_MAX`].
    #[error("name-too-long {NAME_CHARACTERS_MAX}")]
    NameTooLong,
    /// There is nothing to search for.
    #[error("line-empty")]
    LineEmpty,
    /// See [`LINE_CHARACTERS_MAX`].
    #[error("line-too-long {LINE_CHARACTERS_MAX}")]
    LineTooLong,
    /// The registry knows no such agency.
    #[error("agency-unknown {0}")]
    AgencyUnknown(String),
    /// See [`OF_OWNER_MAX`] and [`ALL_MAX`].
    #[error("too-many {0}")]
    TooMany(usize),
}

/// What is to be written: the search after the change, and whether it is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// After the change.
    pub search: SavedSearch,
    /// It is deleted.
    pub deleted: bool,
}

/// What a change comes to, given all that there are. `id` is for one that is new, `now` in nanoseconds.
///
/// # Errors
/// Why it is not made.
pub fn apply(
    all: &[SavedSearch],
    change: Change,
    caller: &Caller,
    is_agency: impl Fn(&str) -> bool,
    id: String,
    now: i64,
) -> Result<Written, Refusal> {
    if caller.role == Role::Observer {
        return Err(Refusal::Observer);
    }
    match change {
        Change::Save(save) => {
            let name = named(&save.name)?;
            let line = lined(&save.line)?;
            if !save.agency.is_empty() && !is_agency(&save.agency) {
                return Err(Refusal::AgencyUnknown(save.agency));
            }
            let mine = |known: &&SavedSearch| known.owner == caller.name;
            let known = all
                .iter()
                .filter(mine)
                .find(|known| known.name == name && known.agency == save.agency);
            if known.is_none() && all.iter().filter(mine).count() >= OF_OWNER_MAX {
                return Err(Refusal::TooMany(OF_OWNER_MAX));
            }
            if known.is_none() && all.len() >= ALL_MAX {
                return Err(Refusal::TooMany(ALL_MAX));
            }
            let search = SavedSearch {
                id: known.map_or(id, |known| known.id.clone()),
                name,
                owner: caller.name.clone(),
                agency: save.agency,
                line,
                created_unix_nano: known.map_or(now, |known| known.created_unix_nano),
                changed_unix_nano: known.map_or(now, |known| after(known, now)),
            };
            Ok(Written { search, deleted: false })
        }
        Change::Rename(rename) => {
            let name = named(&rename.name)?;
            let known = owned(all, &rename.search, caller)?;
            let twin = |other: &&SavedSearch| {
                other.id != known.id
                    && (&other.owner, &other.agency, &other.name)
                        == (&known.owner, &known.agency, &name)
            };
            if all.iter().any(|other| twin(&other)) {
                return Err(Refusal::NameTaken(name));
            }
            let search =
                SavedSearch { name, changed_unix_nano: after(known, now), ..known.clone() };
            Ok(Written { search, deleted: false })
        }
        Change::Delete(delete) => {
            let known = owned(all, &delete.search, caller)?;
            let search = SavedSearch { changed_unix_nano: after(known, now), ..known.clone() };
            Ok(Written { search, deleted: true })
        }
    }
}

/// When a change was made: later than the one before, whatever the clock says, because the latest one holds. The store keeps microseconds.
fn after(known: &SavedSearch, now: i64) -> i64 {
    now.max(known.changed_unix_nano.saturating_add(1_000))
}

fn named(name: &str) -> Result<String, Refusal> {
    let name = one_line(name);
    match name.chars().count() {
        0 => Err(Refusal::NameEmpty),
        count if count > NAME_CHARACTERS_MAX => Err(Refusal::NameTooLong),
        _ => Ok(name),
    }
}

fn lined(line: &str) -> Result<String, Refusal> {
    let line = one_line(line);
    match line.chars().count() {
        0 => Err(Refusal::LineEmpty),
        count if count > LINE_CHARACTERS_MAX => Err(Refusal::LineTooLong),
        _ => Ok(line),
    }
}

/// Without what has no place in a line.
fn one_line(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    plain.trim().to_owned()
}

/// The one search that an id or a name means; of several of a name the caller's own.
///
/// # Errors
/// If there is none, or nobody can say which.
pub fn find<'a>(
    all: &'a [SavedSearch],
    search: &str,
    caller: &str,
) -> Result<&'a SavedSearch, Refusal> {
    if let Some(known) = all.iter().find(|known| known.id == search) {
        return Ok(known);
    }
    let named: Vec<&SavedSearch> = all.iter().filter(|known| known.name == search).collect();
    let own: Vec<&SavedSearch> =
        named.iter().copied().filter(|known| known.owner == caller).collect();
    match (own.as_slice(), named.as_slice()) {
        ([one], _) | ([], [one]) => Ok(one),
        ([], []) => Err(Refusal::NotFound(search.to_owned())),
        _ => Err(Refusal::Ambiguous(search.to_owned())),
    }
}

fn owned<'a>(
    all: &'a [SavedSearch],
    search: &str,
    caller: &Caller,
) -> Result<&'a SavedSearch, Refusal> {
    let known = find(all, search, &caller.name)?;
    if known.owner == caller.name { Ok(known) } else { Err(Refusal::NotOwner(known.owner.clone())) }
}

#[cfg(test)]
mod tests {
    use vonggac_wire::proto::{DeleteSearch, RenameSearch, SaveSearch};

    use super::*;

    fn lan() -> Caller {
        Caller { name: "lan".into(), role: Role::Operator }
    }

    fn search(id: &str, owner: &str, name: &str, agency: &str) -> SavedSearch {
        SavedSearch {
            id: id.into(),
            owner: owner.into(),
            name: name.into(),
            agency: agency.into(),
            line: "class:authentication -1h".into(),
            created_unix_nano: 1,
            changed_unix_nano: 1,
        }
    }

    fn change(all: &[SavedSearch], change: Change, caller: &Caller) -> Result<Written, Refusal> {
        apply(all, change, caller, |code| code == "tk-48", "new".into(), 9_000)
    }

    fn save(name: &str, agency: &str, line: &str) -> Change {
        Change::Save(SaveSearch { name: name.into(), agency: agency.into(), line: line.into() })
    }

    fn rename(search: &str, name: &str) -> Change {
        Change::Rename(RenameSearch { search: search.into(), name: name.into() })
    }

    fn delete(search: &str) -> Change {
        Change::Delete(DeleteSearch { search: search.into() })
    }

    #[test]
    fn a_search_is_saved_under_its_name_and_replaces_ones_own_of_that_name_alone() {
        let all = [search("a", "lan", "dò", ""), search("b", "minh", "dò", "")];
        let new = change(&all, save(" đăng\nnhập ", "tk-48", "user:root"), &lan()).unwrap();
        let told = (new.search.id.as_str(), new.search.name.as_str(), new.search.owner.as_str());
        assert_eq!(told, ("new", "đăng nhập", "lan"));
        let again = change(&all, save("dò", "", "user:root"), &lan()).unwrap();
        assert_eq!((again.search.id.as_str(), again.search.created_unix_nano), ("a", 1));
        assert_eq!(
            (again.search.line.as_str(), again.search.changed_unix_nano),
            ("user:root", 9_000)
        );
        let there = change(&all, save("dò", "tk-48", "user:root"), &lan()).unwrap();
        assert_eq!(there.search.id, "new", "another agency, another search");
    }

    #[test]
    fn what_cannot_be_saved_is_refused_by_its_own_word() {
        let full: Vec<_> =
            (0..OF_OWNER_MAX).map(|n| search(&n.to_string(), "lan", &n.to_string(), "")).collect();
        let crowd: Vec<_> =
            (0..ALL_MAX).map(|n| search(&n.to_string(), "minh", &n.to_string(), "")).collect();
        let long = "ạ".repeat(LINE_CHARACTERS_MAX + 1);
        let cases: [(&[SavedSearch], Change, Refusal); 8] = [
            (&[], save(" \t", "", "x"), Refusal::NameEmpty),
            (&[], save(&long[..3 * 81], "", "x"), Refusal::NameTooLong),
            (&[], save("a", "", " "), Refusal::LineEmpty),
            (&[], save("a", "", &long), Refusal::LineTooLong),
            (&[], save("a", "H99", "x"), Refusal::AgencyUnknown("H99".into())),
            (&full, save("a", "", "x"), Refusal::TooMany(OF_OWNER_MAX)),
            (&crowd, save("a", "", "x"), Refusal::TooMany(ALL_MAX)),
            (&full, rename("1", "2"), Refusal::NameTaken("2".into())),
        ];
        for (all, asked, refusal) in cases {
            assert_eq!(change(all, asked, &lan()), Err(refusal));
        }
        assert!(change(&full, save("7", "", "x"), &lan()).is_ok(), "a known one is replaced");
        let observer = Caller { role: Role::Observer, ..lan() };
        for asked in [save("a", "", "x"), rename("1", "a"), delete("1")] {
            assert_eq!(change(&full, asked, &observer), Err(Refusal::Observer));
        }
    }

    #[test]
    fn only_its_owner_renames_and_deletes_a_search() {
        let all = [
            search("a", "lan", "one", ""),
            search("b", "minh", "two", ""),
            search("c", "hùng", "three", ""),
            search("d", "minh", "three", ""),
        ];
        let renamed = change(&all, rename("one", "uno"), &lan()).unwrap();
        assert_eq!((renamed.search.id.as_str(), renamed.search.name.as_str()), ("a", "uno"));
        let gone = change(&all, delete("a"), &lan()).unwrap();
        assert!(gone.deleted && gone.search.id == "a");
        let early = apply(&all, delete("a"), &lan(), |_| true, "new".into(), -5).unwrap();
        assert!(early.search.changed_unix_nano > 1, "a clock set back does not undo it");
        let refused = |asked| change(&all, asked, &lan()).unwrap_err();
        assert_eq!(refused(delete("two")), Refusal::NotOwner("minh".into()));
        assert_eq!(refused(rename("b", "x")), Refusal::NotOwner("minh".into()));
        assert_eq!(refused(delete("three")), Refusal::Ambiguous("three".into()));
        assert_eq!(refused(delete("four")), Refusal::NotFound("four".into()));
    }
}

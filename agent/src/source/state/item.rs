//! Things with fields, and how two sets of them differ; pure.

use std::collections::BTreeMap;

/// A thing's fields. One whose name begins with `_` is compared and never told.
pub(crate) type Fields = BTreeMap<String, String>;

/// Things by their keys.
pub(crate) type Items = BTreeMap<String, Fields>;

/// How one thing differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Added(String),
    Removed(String),
    /// With the names of the fields that are others.
    Changed(String, Vec<String>),
}

/// What is another. A field that one side lacks is not known there, and no change.
pub(super) fn diff(before: &Items, after: &Items) -> Vec<Change> {
    let mut changes = Vec::new();
    for (key, old) in before {
        match after.get(key) {
            None => changes.push(Change::Removed(key.clone())),
            Some(new) => {
                let others: Vec<String> = old
                    .iter()
                    .filter(|(name, value)| new.get(*name).is_some_and(|new| new != *value))
                    .map(|(name, _)| name.clone())
                    .collect();
                if !others.is_empty() {
                    changes.push(Change::Changed(key.clone(), others));
                }
            }
        }
    }
    let added = after.keys().filter(|key| !before.contains_key(*key));
    changes.extend(added.cloned().map(Change::Added));
    changes
}

/// Fields of these names and values; empty values are left out.
pub(super) fn fields<const N: usize>(pairs: [(&str, &str); N]) -> Fields {
    let told = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    told.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_one_side_does_not_know_is_no_change() {
        let one = |pairs: [(&str, &str); 2]| Items::from([("a".to_owned(), fields(pairs))]);
        let before = one([("x", "1"), ("y", "")]);
        assert_eq!(diff(&before, &one([("x", "1"), ("y", "2")])), []);
        let other = one([("x", "2"), ("y", "2")]);
        assert_eq!(diff(&before, &other), [Change::Changed("a".into(), vec!["x".into()])]);
    }

    proptest! {
        #[test]
        fn each_difference_is_told_once_and_equals_have_none(
            before: BTreeMap<u8, u8>, after: BTreeMap<u8, u8>
        ) {
            let items = |all: &BTreeMap<u8, u8>| -> Items {
                all.iter().map(|(k, v)| (k.to_string(), fields([("v", &v.to_string())]))).collect()
            };
            let changes = diff(&items(&before), &items(&after));
            let keys = before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>();
            let others = keys.iter().filter(|key| before.get(key) != after.get(key)).count();
            prop_assert_eq!(changes.len(), others);
            prop_assert!(diff(&items(&after), &items(&after)).is_empty());
        }
    }
}

//! A bundle of evidence, checked on a machine that has nothing else: neither centre nor network is asked.

use std::{fs::File, path::Path};

use serde_json::{Value, json};
use vonggac_answer::rows::{self, Format, Row};
use vonggac_daemon::exit::Exit;
use vonggac_evidence::bundle::{
    check::{Finding, Known, Verdict, check},
    read::ReadError,
};

use super::{complain, print};
use crate::{sanitise::sanitise, wording, words::Words};

/// What whoever checks knows: a fingerprint may be written as the authority tells it, with colons and in capitals.
pub(super) fn known(root: Option<&str>, signer: Option<&str>) -> Known {
    let plain = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.strip_prefix("sha256:").unwrap_or(&text).replace(':', "")
    };
    Known { root: root.map(plain), key: signer.map(plain) }
}

/// Whether the bundle proves what it says. What was found ends the program with a failure, so that a script sees it.
pub(super) fn verify(words: &Words, file: &Path, known: &Known, form: &Format) -> Exit {
    let mut found = Vec::new();
    let opened = File::open(file).map_err(ReadError::Io);
    let checked =
        opened.and_then(|file| check(file, known, &mut |finding| found.push(row(finding))));
    if !found.is_empty() || *form != Format::Table {
        print(&rows::write(form, &found));
    }
    match checked {
        Ok(verdict) => told(words, known, &verdict),
        Err(error) => complain(&reason(words, &error), Exit::Failure),
    }
}

fn row(finding: Finding) -> Row {
    match json!(finding) {
        Value::Object(mut row) => {
            let file = row.remove("file");
            // Names of a hostile file are shown like everything else.
            row.insert("file".into(), file.unwrap_or_default());
            row
        }
        _ => Row::new(),
    }
}

/// Why a bundle could not be read to its end.
fn reason(words: &Words, error: &ReadError) -> String {
    let clean = |text: &str| sanitise(text).into_owned();
    match error {
        ReadError::Io(error) => {
            words.with("bundle-unreadable", &[("why", &clean(&error.to_string()))])
        }
        ReadError::Cut => words.get("bundle-cut"),
        ReadError::Damaged(error) => {
            words.with("bundle-damaged", &[("why", &clean(&error.to_string()))])
        }
        ReadError::Bomb => words.get("bundle-bomb"),
        ReadError::Large(file) => words.with("bundle-large", &[("file", &clean(file))]),
        ReadError::Many(_) => words.get("bundle-many"),
        ReadError::Strange(file) => words.with("bundle-strange", &[("file", &clean(file))]),
    }
}

/// What it is of, by whom, and what it came to.
fn told(words: &Words, known: &Known, verdict: &Verdict) -> Exit {
    let clean = |text: &Option<String>| text.as_deref().map(|text| sanitise(text).into_owned());
    let say = |text: String| {
        let _success = complain(&text, Exit::Success);
    };
    if let Some(head) = &verdict.head {
        let values =
            [&head.agency, &head.since, &head.until, &head.made].map(|text| sanitise(text));
        let [agency, since, until, made] = &values;
        let values = [("agency", &**agency), ("since", since), ("until", until), ("made", made)];
        say(words.with("bundle-of", &values));
    }
    let key = clean(&verdict.key).unwrap_or_default();
    say(words.with("bundle-key", &[("key", &key)]));
    match (clean(&verdict.root), clean(&verdict.voucher)) {
        (Some(root), Some(by)) => say(words.with("bundle-root", &[("root", &root), ("by", &by)])),
        (Some(root), None) => say(words.with("bundle-unvouched", &[("root", &root)])),
        _ => say(words.get("bundle-rootless")),
    }
    if known.root.is_none() && known.key.is_none() {
        say(words.get("bundle-compare"));
    }
    let number = |number| wording::number(words.lang(), number);
    if verdict.hours_open > 0 {
        say(words.with("bundle-open", &[("hours", &number(verdict.hours_open))]));
    }
    if verdict.retired > 0 {
        say(words.with("verify-retired", &[("retired", &number(verdict.retired))]));
    }
    let (rows, batches, found) =
        (number(verdict.rows), number(verdict.batches), number(verdict.found));
    let receipts = number(verdict.receipts);
    let values =
        [("rows", &*rows), ("batches", &*batches), ("found", &*found), ("receipts", &*receipts)];
    if verdict.found == 0 {
        say(words.with("bundle-clean", &values));
        return Exit::Success;
    }
    complain(&words.with("verify-found", &values), Exit::Failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_taken_as_the_authority_and_as_openssl_write_it() {
        for text in ["sha256:ab01", "AB:01", "ab01"] {
            assert_eq!(known(Some(text), None).root.as_deref(), Some("ab01"), "{text}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_or_is_no_bundle_fails_in_words() {
        let words = crate::words::of(crate::words::Lang::Vi);
        let none = Path::new("/nowhere/at/all.evidence");
        assert_eq!(verify(&words, none, &Known::default(), &Format::Table), Exit::Failure);
        let error = ReadError::Strange("\u{1b}[2J".into());
        let text = reason(&words, &error);
        assert!(!text.contains('\u{1b}') && !text.starts_with("bundle-"), "{text}");
    }
}

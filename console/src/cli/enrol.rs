//! `enrol`: a token becomes a person's certificate; and it is kept while the program is used.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use vonggac_answer::rows::{self, Format, Row};
use vonggac_daemon::{exit::Exit, secret::Secret};
use vonggac_enrol::{EnrolError, Who, centre::CentreError, renewal};
use vonggac_wire::{
    Time,
    enrol::{Granted, Token},
};

use super::{complain, print};
use crate::{
    client::{self, Way},
    words::Words,
};

/// What a token is turned into a certificate with.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    /// What the administrator gave you; `-`: read from standard input.
    #[arg(long, env = "VONGGAC_TOKEN", hide_env_values = true)]
    token: Secret,
    /// The enrolment's address, where it is reached otherwise than the token says.
    #[arg(long)]
    centre: Option<String>,
    /// The folder.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Does it.
pub(super) fn run(words: &Words, form: &Format, asked: &Options) -> Exit {
    let Some(out) = asked.out.clone().or_else(client::own_set) else {
        return complain(&words.get("enrol-nowhere"), Exit::Usage);
    };
    let token = match token(words, asked) {
        Ok(token) => token,
        Err(text) => return complain(&text, Exit::Usage),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string(), Exit::Failure),
    };
    match runtime.block_on(vonggac_enrol::enrol(&token, &Who::Person, &out)) {
        Ok(granted) => {
            let mut text = rows::write(form, &[row(&granted, &out)]);
            if *form == Format::Table {
                text = done(words, &granted, &out);
            }
            print(&text);
            Exit::Success
        }
        Err(error) => complain(&told(words, &error), Exit::Failure),
    }
}

fn token(words: &Words, asked: &Options) -> Result<Token, String> {
    let mut input = std::io::stdin().lock();
    // What is wrong with it is told without it.
    let token = vonggac_enrol::token(&asked.token, None, &mut input)
        .map_err(|_| words.get("enrol-no-token"))?;
    match &asked.centre {
        None => Ok(token),
        Some(centre) => token.at(centre).map_err(|_| {
            let values = [
                ("option", "--centre"),
                ("value", centre.as_str()),
                ("allowed", "https://HOST:PORT"),
            ];
            words.with("bad-value", &values)
        }),
    }
}

fn row(granted: &Granted, out: &Path) -> Row {
    rows::row(json!({
        "identity": granted.identity,
        "until": granted.until,
        "folder": out.display().to_string(),
    }))
}

/// A sentence, and how the certificate is used.
fn done(words: &Words, granted: &Granted, out: &Path) -> String {
    let shown = out.display().to_string();
    let values =
        [("who", granted.identity.as_str()), ("until", &granted.until), ("folder", &shown)];
    let mut text = words.with("enrol-done", &values);
    text.push('\n');
    if client::own_set().as_deref() == Some(out) {
        text.push_str(&words.get("enrol-found"));
    } else {
        text.push_str(&words.get("enrol-named"));
        for (name, file) in
            [("CERTIFICATE", "certificate"), ("KEY", "key"), ("AUTHORITIES", "authorities")]
        {
            text.push_str(&format!("\n  export VONGGAC_{name}='{shown}/{file}.pem'"));
        }
    }
    text.push_str("\n  vonggac --collector https://HOST:PORT\n");
    // Lines stay lines; what the centre or a folder's name put into them does not command the terminal.
    let lines: Vec<_> = text.lines().map(crate::sanitise::sanitise).collect();
    lines.join("\n") + "\n"
}

/// Why not, in the words of a language: refusals have a word.
fn told(words: &Words, error: &EnrolError) -> String {
    match error {
        EnrolError::Centre(CentreError::Refused(refused)) => {
            let id = format!("enrol-refused-{}", refused.reason);
            let known = words.with(&id, &[("error", &refused.error)]);
            if known == id {
                words.with("enrol-refused", &[("error", &refused.error)])
            } else {
                known
            }
        }
        EnrolError::Centre(CentreError::Unreached { address, reason }) => {
            words.with("enrol-unreached", &[("address", address), ("error", reason)])
        }
        error => words.with("enrol-failed", &[("error", &error.to_string())]),
    }
}

/// The certificate is renewed at two thirds of its life when the program is used; what keeps it from that is told, and holds nobody up.
pub(super) async fn keep(words: &Words, way: &Way) {
    let Some(set) = way.tls.as_ref().and_then(|files| files.certificate.parent()) else { return };
    if let Err(error) = renewal::on_use(set, Time::now()).await {
        complain(
            &words.with("enrol-not-renewed", &[("error", &told(words, &error))]),
            Exit::Success,
        );
    }
}

#[cfg(test)]
mod tests {
    use vonggac_wire::enrol::{Lists, Refused};

    use super::*;
    use crate::words::{self, Lang};

    #[test]
    fn each_refusal_is_told_in_both_languages_and_an_unknown_one_as_the_centre_says_it() {
        let refused = |reason: &str| {
            let refused = Refused { reason: reason.into(), error: "as the centre says".into() };
            EnrolError::Centre(CentreError::Refused(refused))
        };
        for lang in [Lang::Vi, Lang::En] {
            let words = words::of(lang);
            for reason in ["token", "request", "busy", "revoked", "expired", "failed", "nobody"] {
                let id = format!("enrol-refused-{reason}");
                assert_ne!(words.get(&id), id, "{lang:?}");
                assert!(!told(&words, &refused(reason)).contains("enrol-"), "{reason}");
            }
            let strange = told(&words, &refused("of-tomorrow"));
            assert!(strange.contains("as the centre says"), "{strange}");
        }
    }

    #[test]
    fn what_is_to_be_set_is_said_where_the_folder_is_not_found_by_itself() {
        let granted = Granted {
            identity: "spiffe://vonggac/person/lan".into(),
            certificate: String::new(),
            signing_certificate: None,
            until: "2027-01-01T00:00:00Z".into(),
            lists: Lists { authorities: String::new(), revoked: String::new() },
            kafka: Vec::new(),
        };
        for lang in [Lang::Vi, Lang::En] {
            let text = done(&words::of(lang), &granted, Path::new("/set"));
            assert!(text.contains("person/lan") && text.contains("2027-01-01"), "{text}");
            assert!(text.contains("VONGGAC_KEY='/set/key.pem'"), "{text}");
            let own = client::own_set().unwrap_or_else(|| "/set".into());
            let found = done(&words::of(lang), &granted, &own);
            assert!(!found.contains("VONGGAC_KEY") || own == Path::new("/set"), "{found}");
        }
    }
}

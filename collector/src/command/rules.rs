//! Rules on the command line.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use vonggac_daemon::exit::Exit;
use vonggac_wire::Time;

use crate::{
    config::Config,
    rule::{
        Rule, RuleSet,
        pack::{self, Pack, PackError},
    },
};

/// What can be asked of rules.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Rule, severity, part of, techniques, title.
    List {
        /// A folder of further rules.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Tell what is wrong with the rules of a folder, with file and line.
    Check {
        /// The folder.
        dir: PathBuf,
    },
    /// Copy a pack that others publish below [rules] dir, with its licence. A collector that runs reads it within seconds.
    Add {
        /// The folder.
        folder: PathBuf,
        /// Which version it is, as its publisher says.
        #[arg(long, value_name = "VERSION")]
        pack_version: String,
        /// Its name; otherwise the folder's own.
        #[arg(long)]
        name: Option<String>,
        /// A file with its terms; otherwise LICENSE, COPYING or NOTICE in the folder or beside it.
        #[arg(long, value_name = "FILE")]
        licence: Option<PathBuf>,
    },
    /// The packs that were added: name, version, rules, when, terms, where from.
    Packs,
    /// Take a pack away that was added. Incidents of its rules stay, and wait for a person.
    Remove {
        /// Its name.
        name: String,
        /// Said on purpose.
        #[arg(long, required = true)]
        yes: bool,
    },
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
enum PacksError {
    #[error("{0}")]
    Settings(#[from] vonggac_daemon::settings::SettingsError),
    #[error(
        "find where packs are kept: the configuration has no [rules] dir; set it, and start the collector again once"
    )]
    NoFolder,
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// The answer; packs lie where this configuration says.
pub(super) fn run(command: &Command, config: &Path) -> (String, Exit) {
    let answer = match command {
        Command::List { dir } => return of_folder(dir.as_ref(), true),
        Command::Check { dir } => return of_folder(Some(dir), false),
        Command::Add { folder, pack_version, name, licence } => {
            folder_of(config).and_then(|root| {
                let wanted = pack::Wanted {
                    source: folder.clone(),
                    name: name.clone(),
                    version: pack_version.clone(),
                    licence: licence.clone(),
                };
                Ok(told(&pack::add(&root, &wanted, Time::now())?))
            })
        }
        Command::Packs => folder_of(config).and_then(|root| {
            let packs = pack::list(&root)?;
            Ok(packs.iter().map(pack_row).collect::<Vec<_>>().join("\n"))
        }),
        Command::Remove { name, yes: _ } => folder_of(config).and_then(|root| {
            let gone = pack::remove(&root, name)?;
            Ok(format!(
                "the pack {} {} with {} rules was taken away",
                gone.name, gone.version, gone.rules
            ))
        }),
    };
    match answer {
        Ok(text) => (text, Exit::Success),
        Err(error @ (PacksError::Settings(_) | PacksError::NoFolder)) => {
            (format!("failed to {error}"), Exit::Configuration)
        }
        Err(error) => (format!("failed to {error}"), Exit::Failure),
    }
}

fn folder_of(config: &Path) -> Result<PathBuf, PacksError> {
    Config::read(config)?.rules_dir.ok_or(PacksError::NoFolder)
}

fn told(added: &pack::Added) -> String {
    let mut text = String::new();
    for error in &added.refused {
        // Writing to a string does not fail.
        let _written = writeln!(text, "left out: failed to {error}");
    }
    let (pack, refused) = (&added.pack, added.refused.len());
    let _written = write!(
        text,
        "the pack {} {}: {} rules are right, {refused} are left out; its terms: {}",
        pack.name,
        pack.version,
        pack.rules,
        pack.licences.join(", ")
    );
    text
}

fn pack_row(pack: &Pack) -> String {
    format!(
        "{:<24} {:<16} {:>6} {} {} {}",
        pack.name,
        pack.version,
        pack.rules,
        pack.added,
        pack.licences.join(","),
        pack.source
    )
}

/// Rules of ours and of a folder.
fn of_folder(dir: Option<&PathBuf>, listed: bool) -> (String, Exit) {
    let mut rules = match RuleSet::builtin() {
        Ok(rules) => rules,
        Err(error) => return (format!("failed to {error}"), Exit::Failure),
    };
    let own = rules.rules().len();
    let refused = match dir.map(|dir| rules.add_folder(dir)).transpose() {
        Ok(refused) => refused.unwrap_or_default(),
        Err(error) => return (format!("failed to {error}"), Exit::Failure),
    };
    let mut text = String::new();
    if listed {
        for rule in rules.rules() {
            // Writing to a string does not fail.
            let _written = writeln!(text, "{}", row(rule));
        }
    } else {
        for error in &refused {
            let _written = writeln!(text, "failed to {error}");
        }
        let taken = rules.rules().len() - own;
        let _written = writeln!(text, "{taken} rules are right, {} are refused", refused.len());
    }
    let exit = if refused.is_empty() || listed { Exit::Success } else { Exit::Configuration };
    (text.trim_end().to_owned(), exit)
}

fn row(rule: &Rule) -> String {
    let meta = &rule.meta;
    let whole = meta.part_of.as_ref().or(meta.incident.as_ref());
    format!(
        "{:<34} M{} {:<12} {:<24} {}",
        meta.rule.as_str(),
        meta.severity,
        whole.map_or("", vonggac_wire::RuleId::as_str),
        meta.attack_tags.join(","),
        meta.title_en
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_a_row_for_each_rule() {
        let (text, exit) = run(&Command::List { dir: None }, Path::new("none"));
        assert_eq!(exit, Exit::Success);
        assert_eq!(text.lines().count(), RuleSet::builtin().unwrap().rules().len());
        assert!(text.contains("web-sql-injection"));
    }

    #[test]
    fn a_folder_with_a_broken_rule_is_told_and_ends_with_a_code_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yml"), "title: [").unwrap();
        let (text, exit) =
            run(&Command::Check { dir: folder.path().to_owned() }, Path::new("none"));
        assert_eq!(exit, Exit::Configuration);
        assert!(text.contains("a.yml") && text.contains("0 rules are right, 1 are refused"));
    }

    #[test]
    fn a_pack_is_added_told_and_taken_away_where_the_configuration_says() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let rule = "title: One\nlogsource: {product: linux}\ndetection: {sel: {Image: /bin/a}, condition: sel}\n";
        for (name, text) in
            [("others/a.yml", rule), ("others/b.yml", "title: ["), ("others/LICENSE", "t")]
        {
            std::fs::create_dir_all(at("others")).unwrap();
            std::fs::write(at(name), text).unwrap();
        }
        std::fs::create_dir(at("rules")).unwrap();
        let config = |rules: &str| {
            let text = format!(
                "plain_text = true\n[kafka]\nbrokers = [\"k:1\"]\n[engine]\nurl = \"http://e\"\n[grpc]\nlisten = \"127.0.0.1:1\"\n{rules}"
            );
            std::fs::write(at("c.toml"), text).unwrap();
        };
        let add = Command::Add {
            folder: at("others"),
            pack_version: "7".into(),
            name: None,
            licence: None,
        };
        config("");
        let (text, exit) = run(&add, &at("c.toml"));
        assert!(exit == Exit::Configuration && text.contains("[rules] dir"), "{text}");
        config(&format!("[rules]\ndir = {:?}\n", at("rules").display().to_string()));
        let (text, exit) = run(&add, &at("c.toml"));
        assert_eq!(exit, Exit::Success, "{text}");
        assert!(
            text.contains("b.yml") && text.contains("1 rules are right, 1 are left out"),
            "{text}"
        );
        let (text, _) = run(&Command::Packs, &at("c.toml"));
        assert!(
            text.starts_with("others ") && text.contains(" 7 ") && text.contains("LICENSE"),
            "{text}"
        );
        let remove = Command::Remove { name: "others".into(), yes: true };
        assert_eq!(run(&remove, &at("c.toml")).1, Exit::Success);
        let (text, exit) = run(&remove, &at("c.toml"));
        assert!(exit == Exit::Failure && text.contains("others"), "{text}");
    }
}

//! Rules on the command line.

use std::{fmt::Write, path::PathBuf};

use clap::Subcommand;
use vonggac_daemon::exit::Exit;

use crate::rule::{Rule, RuleSet};

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
}

/// The answer.
pub(super) fn run(command: &Command) -> (String, Exit) {
    let mut rules = match RuleSet::builtin() {
        Ok(rules) => rules,
        Err(error) => return (format!("failed to {error}"), Exit::Failure),
    };
    let own = rules.rules().len();
    let (dir, listed) = match command {
        Command::List { dir } => (dir.as_ref(), true),
        Command::Check { dir } => (Some(dir), false),
    };
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
        let (text, exit) = run(&Command::List { dir: None });
        assert_eq!(exit, Exit::Success);
        assert_eq!(text.lines().count(), RuleSet::builtin().unwrap().rules().len());
        assert!(text.contains("web-sql-injection"));
    }

    #[test]
    fn a_folder_with_a_broken_rule_is_told_and_ends_with_a_code_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yml"), "title: [").unwrap();
        let (text, exit) = run(&Command::Check { dir: folder.path().to_owned() });
        assert_eq!(exit, Exit::Configuration);
        assert!(text.contains("a.yml") && text.contains("0 rules are right, 1 are refused"));
    }
}

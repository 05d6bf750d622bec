//! Rules as data: one YAML file each, Sigma where Sigma can say it, and under `vonggac:` what Sigma has no place for.
//!
//! A rule whose `vonggac.machine` is set has no `detection`: a small machine of [`crate::detect`] looks for it, with the numbers of
//! the file. A broken file is refused alone, with its name.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use rsigma_parser::SigmaRule;
use serde::Deserialize;
use vonggac_wire::RuleId;

/// Why a rule is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The folder or file cannot be read.
    #[error("read the rule {path}: {source}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no YAML, or a key is wrong.
    #[error("understand the rule {name}: {source}")]
    Yaml {
        /// Which.
        name: String,
        /// Why.
        source: serde_yaml_ng::Error,
    },
    /// Sigma refuses it.
    #[error("understand the rule {name}: {reason}")]
    Sigma {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
}

/// What makes the entity of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// The source address, over the whole nation.
    SrcIp,
    /// The acting user on one host.
    ActorOnHost,
    /// The host.
    Host,
}

/// What Sigma has no place for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Kebab-case.
    pub rule: RuleId,
    /// 1 to 4: M1 to M4.
    pub severity: u32,
    /// The entity; not for machines.
    pub group_by: Option<GroupBy>,
    /// Matches in the window before it fires.
    #[serde(default = "one")]
    pub threshold: u64,
    /// What a match counts for when this selection is in it; 1 where nothing is said.
    #[serde(default)]
    pub weights: BTreeMap<String, u64>,
    /// Counts different values of this field instead of matches: ports of a scan, addresses of one that is spread.
    pub distinct: Option<String>,
    /// The window.
    #[serde(default = "five_minutes")]
    pub window_seconds: u64,
    /// Fires only while this other rule's window of the same entity is full.
    pub after: Option<RuleId>,
    /// Does not fire while this other rule's window of the same entity is full: that one says it already.
    pub unless: Option<RuleId>,
    /// The machine that looks for it.
    pub machine: Option<String>,
    /// Numbers of the machine.
    #[serde(default)]
    pub numbers: BTreeMap<String, f64>,
    /// Resolved by itself when nothing came for so long; absent: only by a clear or a person.
    pub quiet_seconds: Option<u64>,
    /// It is an attack: the agency is shown as under attack.
    #[serde(default)]
    pub attack: bool,
    /// `{name}` stands for a value of the signal.
    pub title_vi: String,
    /// The same in English.
    pub title_en: String,
    /// What to do first.
    #[serde(default)]
    pub steps_vi: Vec<String>,
    /// The same in English.
    #[serde(default)]
    pub steps_en: Vec<String>,
    /// ATT&CK techniques.
    #[serde(default)]
    pub attack_tags: Vec<String>,
    /// Events that must and must not fire it.
    #[serde(default)]
    pub examples: Examples,
}

/// Examples of a rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Examples {
    /// Must fire.
    #[serde(default)]
    pub fire: Vec<Example>,
    /// Must not.
    #[serde(default)]
    pub quiet: Vec<Example>,
}

/// One event, some times over. `{n}` in a text, and the text `#n` in a number's place, become the turn's number.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// How often.
    #[serde(default = "one")]
    pub times: u64,
    /// The event's activity, in the words of the golden examples.
    pub activity: serde_json::Value,
}

const fn one() -> u64 {
    1
}

const fn five_minutes() -> u64 {
    300
}

impl Meta {
    /// The window.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_secs(self.window_seconds)
    }

    /// A number of the machine, or the machine's own.
    #[must_use]
    pub fn number(&self, name: &str, otherwise: f64) -> f64 {
        self.numbers.get(name).copied().unwrap_or(otherwise)
    }
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Beside Sigma.
    pub meta: Meta,
    /// The Sigma rule; `None` for machines.
    pub sigma: Option<SigmaRule>,
}

#[derive(Deserialize)]
struct File {
    vonggac: Meta,
}

impl Rule {
    /// Reads one file's text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(name: &str, text: &str) -> Result<Self, RuleError> {
        let yaml = |source| RuleError::Yaml { name: name.to_owned(), source };
        let meta = serde_yaml_ng::from_str::<File>(text).map_err(yaml)?.vonggac;
        if meta.machine.is_some() {
            return Ok(Self { meta, sigma: None });
        }
        let refused = |reason: String| RuleError::Sigma { name: name.to_owned(), reason };
        let mut collection =
            rsigma_parser::parse_sigma_yaml(text).map_err(|error| refused(error.to_string()))?;
        if let Some(error) = collection.errors.first() {
            return Err(refused(error.to_string()));
        }
        let Some(sigma) = collection.rules.pop().filter(|_| collection.rules.is_empty()) else {
            return Err(refused("a file holds one rule".into()));
        };
        if meta.group_by.is_none() {
            return Err(refused("`vonggac.group_by` is missing".into()));
        }
        Ok(Self { meta, sigma: Some(sigma) })
    }
}

/// All rules.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
}

macro_rules! pack {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../rules/", $name, ".yml")))),*]
    };
}

/// Our own pack.
const PACK: &[(&str, &str)] = pack![
    "ssh-brute-force",
    "ssh-success-after-brute-force",
    "sudo-abuse",
    "web-attack",
    "web-scan",
    "web-login-brute-force",
    "login-brute-force",
    "ssh-probe",
    "login-success-after-brute-force",
    "distributed-brute-force",
    "port-scan",
    "privileged-account",
    "service-down",
    "platform-down",
    "certificate-ends",
    "disk-full",
    "agent-silent",
    "agency-silent",
    "portal-without-use",
];

impl RuleSet {
    /// Our own pack.
    ///
    /// # Errors
    /// If a file of it is wrong, which a test would show.
    pub fn builtin() -> Result<Self, RuleError> {
        let rules =
            PACK.iter().map(|(name, text)| Rule::parse(name, text)).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// Adds the files of a folder; those that are wrong are left out and told.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn add_folder(&mut self, folder: &Path) -> Result<Vec<RuleError>, RuleError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| RuleError::Io { path, source }
        };
        let mut refused = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(io(folder))? {
            let path = entry.map_err(io(folder))?.path();
            if path.extension().is_none_or(|extension| extension != "yml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(io(&path))?;
            match Rule::parse(&path.display().to_string(), &text) {
                Ok(rule) if self.meta(rule.meta.rule.as_str()).is_none() => self.rules.push(rule),
                Ok(rule) => refused.push(RuleError::Sigma {
                    name: path.display().to_string(),
                    reason: format!("{} is defined already", rule.meta.rule),
                }),
                Err(error) => refused.push(error),
            }
        }
        Ok(refused)
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// A rule's own words.
    #[must_use]
    pub fn meta(&self, rule: &str) -> Option<&Meta> {
        self.rules.iter().map(|rule| &rule.meta).find(|meta| meta.rule.as_str() == rule)
    }

    /// The rule of a machine.
    #[must_use]
    pub fn machine(&self, machine: &str) -> Option<&Meta> {
        self.rules
            .iter()
            .map(|rule| &rule.meta)
            .find(|meta| meta.machine.as_deref() == Some(machine))
    }
}

//! Rules as data: one YAML file each, Sigma where Sigma can say it, and under `vonggac:` what Sigma has no place for.
//!
//! A rule whose `vonggac.machine` is set has no `detection`: a small machine of [`crate::detect`] looks for it, with the numbers of
//! the file. Neither has a rule that others are `part_of`: their matches are counted together and told as one incident.
//! A Sigma rule without `vonggac:` is one of [`foreign`] packs. A broken file is refused alone, with its name and line.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    time::Duration,
};

use rsigma_parser::{CorrelationRule, SigmaRule};
use serde::{Deserialize, Deserializer};
use vonggac_wire::RuleId;

pub(crate) mod bounds;
mod folder;
mod foreign;
pub mod pack;
mod place;
pub mod reload;

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
    #[error("understand the rule {name}:{line}: {reason}")]
    Sigma {
        /// Which.
        name: String,
        /// Where in it.
        line: usize,
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
    /// The account, over the hosts of an agency.
    User,
}

/// What Sigma has no place for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Kebab-case.
    pub rule: RuleId,
    /// 1 to 4: M1 to M4.
    pub severity: u32,
    /// The rule in whose window this one's matches are counted, and of whose incident they are a part.
    pub part_of: Option<RuleId>,
    /// The rule of whose incident this one's own signals are a part.
    pub incident: Option<RuleId>,
    /// What a part is called in its incident's title.
    pub label: Option<String>,
    /// The entity; not for machines.
    pub group_by: Option<GroupBy>,
    /// Matches in the window before it fires.
    #[serde(default = "one")]
    pub threshold: u64,
    /// The same for matches on one host, where fewer are enough.
    pub threshold_on_host: Option<u64>,
    /// So many matches make it one level graver.
    pub grave: Option<u64>,
    /// What a match counts for when this selection is in it; 1 where nothing is said.
    #[serde(default)]
    pub weights: BTreeMap<String, u64>,
    /// Counts different values of this field instead of matches: ports of a scan, addresses of one that is spread.
    pub distinct: Option<String>,
    /// Selections whose lines may be a second telling of an attempt: they count once for each connection and user, and not where
    /// the attempt itself was told.
    #[serde(default)]
    pub echoes: Vec<String>,
    /// A selection that takes the failures of its user back: who mistypes and then gets in has attacked nobody.
    pub forgives: Option<String>,
    /// The window.
    #[serde(default = "five_minutes")]
    pub window_seconds: u64,
    /// Fires only while the window of one of these other rules is full for the same entity.
    #[serde(default, deserialize_with = "one_or_many")]
    pub after: Vec<RuleId>,
    /// Is silent while the window of one of these is full for the same entity: that one says it already.
    #[serde(default, deserialize_with = "one_or_many")]
    pub unless: Vec<RuleId>,
    /// Before it fires, counts no more than one match in so long: what is fast is for other rules.
    pub spacing_seconds: Option<u64>,
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

/// `after: a` and `after: [a, b]`.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RuleId>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(RuleId),
        Many(Vec<RuleId>),
    }
    Ok(match Names::deserialize(deserializer)? {
        Names::One(name) => vec![name],
        Names::Many(names) => names,
    })
}

impl Meta {
    /// The window.
    #[must_use]
    pub const fn window(&self) -> Duration {
        Duration::from_secs(self.window_seconds)
    }

    /// Whether matches are counted as they are by another: for whom, over how long, and what of them.
    #[must_use]
    pub fn counts_like(&self, other: &Self) -> bool {
        let of = |meta: &Self| {
            (meta.group_by, meta.window_seconds, meta.distinct.clone(), meta.part_of.clone())
        };
        of(self) == of(other)
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
    /// The Sigma rule; `None` for machines and for what others are a part of.
    pub sigma: Option<SigmaRule>,
    /// It is another's: only events of the source that it names are meant.
    pub foreign: bool,
    /// What it counts over several events, if it is a correlation.
    pub correlation: Option<CorrelationRule>,
    /// It is asked for by correlations alone and not told by itself.
    pub silent: bool,
    /// A correlation wants it told all the same.
    pub told_too: bool,
}

#[derive(Deserialize)]
struct File {
    vonggac: Option<Meta>,
    detection: Option<serde_yaml_ng::Value>,
    logsource: Option<serde_yaml_ng::Value>,
}

impl Rule {
    /// Reads one file's text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(name: &str, text: &str) -> Result<Self, RuleError> {
        let yaml = |source| RuleError::Yaml { name: name.to_owned(), source };
        let refused = |reason: String| {
            let line = place::line(text, &reason);
            RuleError::Sigma { name: name.to_owned(), line, reason }
        };
        let file = serde_yaml_ng::from_str::<File>(text).map_err(yaml)?;
        let Some(meta) = file.vonggac else {
            let sigma = sigma(text).map_err(refused)?;
            return foreign::rule(sigma).map_err(refused);
        };
        bounds::of_meta(&meta).map_err(refused)?;
        if file.detection.is_none() {
            // Machines look by themselves, and what only has parts names no source.
            if file.logsource.is_some() && meta.machine.is_none() {
                return Err(refused("`detection` is missing".into()));
            }
            return Ok(Self::of(meta, None, false));
        }
        let sigma = sigma(text).map_err(refused)?;
        if meta.group_by.is_none() && meta.part_of.is_none() {
            return Err(refused("`vonggac.group_by` is missing".into()));
        }
        let selections = meta.weights.keys().chain(&meta.echoes).chain(&meta.forgives);
        for selection in selections {
            if !sigma.detection.named.contains_key(selection) {
                return Err(refused(format!("there is no selection {selection}")));
            }
        }
        Ok(Self::of(meta, Some(sigma), false))
    }

    const fn of(meta: Meta, sigma: Option<SigmaRule>, foreign: bool) -> Self {
        Self { meta, sigma, foreign, correlation: None, silent: false, told_too: false }
    }

    /// What correlations and filters call it: id, name, title. Rules of ours are not spoken of.
    #[must_use]
    pub fn references(&self) -> Vec<&str> {
        let sigma = self.sigma.as_ref().filter(|_| self.foreign);
        let of_sigma = sigma.map(|sigma| (&sigma.id, &sigma.name, &sigma.title));
        let of_correlation =
            self.correlation.as_ref().map(|rule| (&rule.id, &rule.name, &rule.title));
        let Some((id, name, title)) = of_sigma.or(of_correlation) else { return Vec::new() };
        id.as_deref().into_iter().chain(name.as_deref()).chain([title.as_str()]).collect()
    }
}

/// The one Sigma rule of a text.
fn sigma(text: &str) -> Result<SigmaRule, String> {
    let mut collection =
        rsigma_parser::parse_sigma_yaml(text).map_err(|error| error.to_string())?;
    if let Some(error) = collection.errors.first() {
        return Err(error.clone());
    }
    let rule = collection.rules.pop().filter(|_| collection.rules.is_empty());
    rule.ok_or_else(|| "a file holds one rule".into())
}

/// One hash over the rules that are built in: another program may bring others.
#[must_use]
pub fn pack_digest() -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, text) in PACK {
        hasher.update(name.as_bytes()).update(&[0]).update(text.as_bytes()).update(&[0]);
    }
    hasher.finalize().to_hex().to_string()
}

/// All rules.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    /// Where each is.
    by_name: HashMap<String, usize>,
    /// Published rules and correlations by what others call them: id, name, title.
    by_reference: HashMap<String, Vec<usize>>,
    /// Of each, the one whose window and incident its matches belong to.
    heads: Vec<usize>,
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
    "web-sql-injection",
    "web-cross-site-scripting",
    "web-path-traversal",
    "web-command-injection",
    "web-code-injection",
    "web-request-forgery",
    "web-query-injection",
    "web-header-injection",
    "web-exposed-files",
    "web-admin-probing",
    "web-known-exploit",
    "web-shell",
    "web-scanner",
    "web-protocol-abuse",
    "web-firewall-verdict",
    "web-flood",
    "web-agents",
    "web-scan",
    "web-login-brute-force",
    "login-brute-force",
    "login-success-after-brute-force",
    "distributed-brute-force",
    "slow-brute-force",
    "password-spraying",
    "service-abuse",
    "port-scan",
    "host-sweep",
    "firewall-flood",
    "intrusion-verdict",
    "privileged-account",
    "persistence",
    "web-shell-file",
    "package-file-tampered",
    "new-program",
    "new-setuid",
    "listening-port",
    "strange-listener",
    "kernel-module",
    "listed-source",
    "listed-contact",
    "log-tampering",
    "suspicious-command",
    "privilege-exploit",
    "service-down",
    "platform-down",
    "certificate-ends",
    "disk-full",
    "log-cut",
    "batch-refused",
    "token-guessing",
    "record-unopened",
    "agent-silent",
    "agency-silent",
    "portal-without-use",
    "canary-missing",
    "break-glass",
];

impl RuleSet {
    /// Our own pack.
    ///
    /// # Errors
    /// If a file of it is wrong, which a test would show.
    pub fn builtin() -> Result<Self, RuleError> {
        let mut set = Self::default();
        for (name, text) in PACK {
            set.push(Rule::parse(name, text)?);
        }
        Ok(set)
    }

    /// Adds a rule after those that it names.
    fn push(&mut self, rule: Rule) {
        let place = self.rules.len();
        let whole = rule.meta.part_of.as_ref().and_then(|whole| self.index(whole.as_str()));
        self.heads.push(whole.unwrap_or(place));
        self.by_name.insert(rule.meta.rule.to_string(), place);
        for name in rule.references() {
            let places = self.by_reference.entry(name.to_owned()).or_default();
            if !places.contains(&place) {
                places.push(place);
            }
        }
        self.rules.push(rule);
    }

    /// Takes the rules from this place on away again.
    fn cut(&mut self, length: usize) {
        self.rules.truncate(length);
        self.heads.truncate(length);
        self.by_name.retain(|_, place| *place < length);
        self.by_reference.retain(|_, places| {
            places.retain(|place| *place < length);
            !places.is_empty()
        });
    }

    /// The published rules that others call so, by id, name or title.
    #[must_use]
    pub fn referred(&self, name: &str) -> &[usize] {
        self.by_reference.get(name).map_or(&[], Vec::as_slice)
    }

    /// Where a rule is in [`Self::rules`].
    #[must_use]
    pub fn index(&self, rule: &str) -> Option<usize> {
        self.by_name.get(rule).copied()
    }

    /// The rule whose window and incident a rule's matches belong to: itself, or the one it is a part of.
    #[must_use]
    pub fn head(&self, rule: usize) -> usize {
        self.heads.get(rule).copied().unwrap_or(rule)
    }

    /// The rule under whose name it is told what one finds: its head, or the one of whose incident that is a part.
    #[must_use]
    pub fn told_by(&self, rule: usize) -> &str {
        let head = self.rules.get(self.head(rule)).map(|head| &head.meta);
        head.map_or("", |meta| meta.incident.as_ref().unwrap_or(&meta.rule).as_str())
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// A rule's own words.
    #[must_use]
    pub fn meta(&self, rule: &str) -> Option<&Meta> {
        self.index(rule).and_then(|place| self.rules.get(place)).map(|rule| &rule.meta)
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

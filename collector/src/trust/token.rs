//! Tokens: who has one may enrol, as often as it says and until it ends. Kept are only their hashes, in one file of the authority's folder.
//!
//! Also admissions: an operator's yes to a machine whose certificate ran out while it was away.

use std::{fmt, path::PathBuf, time::Duration};

use data_encoding::HEXLOWER;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use vonggac_wire::{AgencyId, AgentId, Identity, Time, enrol::Kind};

use super::authority::{
    Authority, FileError,
    folder::{self, Readers},
};

/// Tokens at once: one for each server of a large agency that is set up in a week.
pub const TOKENS_MAX: usize = 2_000;

/// Admissions at once.
pub const ADMISSIONS_MAX: usize = 2_000;

/// Uses of one token at most: the servers of an agency that are installed by a program.
pub const USES_MAX: u32 = 10_000;

/// How long a token that ended is still listed.
const LISTED: Duration = Duration::from_secs(30 * 86_400);

const FILE: &str = "tokens.json";
const LOCK: &str = "tokens.lock";

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file's text.
    #[error("read {}: {reason}; restore it from a copy, or remove it: every token is void then", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There are too many.
    #[error("keep more than {TOKENS_MAX} tokens: revoke some, or let one be used several times")]
    Full,
    /// There are too many.
    #[error("keep more than {ADMISSIONS_MAX} admissions: wait until some have ended")]
    FullOfAdmissions,
    /// No such token.
    #[error("find the token {0:?}; see `token list`")]
    Unknown(String),
    /// Random numbers are not to be had.
    #[error("make a token: the kernel gives no random numbers")]
    Random,
}

/// Whom a token lets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Agents of an agency, which bring their names.
    Agency(AgencyId),
    /// This agent, also where it is known: it was set up anew.
    Agent(AgencyId, AgentId),
    /// This collector, with the names and addresses it is connected to by.
    Collector(AgentId, Vec<String>),
    /// This person.
    Person(AgentId),
}

impl Purpose {
    /// What may ask with it.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Agency(_) | Self::Agent(..) => Kind::Agent,
            Self::Collector(..) => Kind::Collector,
            Self::Person(_) => Kind::Person,
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agency(agency) => write!(formatter, "agents of {agency}"),
            Self::Agent(agency, agent) => write!(formatter, "the agent {agent} of {agency}"),
            Self::Collector(name, _) => write!(formatter, "the collector {name}"),
            Self::Person(name) => write!(formatter, "the person {name}"),
        }
    }
}

/// Why a token lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Void {
    /// There is none like it.
    #[error("the token is not known")]
    Unknown,
    /// Its time is over.
    #[error("the token has ended; have a new one made")]
    Ended,
    /// It was used as often as it may be.
    #[error("the token was used up; have a new one made")]
    Used,
    /// It was revoked.
    #[error("the token was revoked")]
    Revoked,
}

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What it is called in lists; it says nothing about the secret.
    pub id: String,
    /// BLAKE3 of the secret, of which 32 random bytes cannot be guessed.
    hash: String,
    /// Whom it lets in.
    pub purpose: Purpose,
    /// How often.
    pub uses: u32,
    /// How often it was used.
    pub used: u32,
    /// Until when, in Unix seconds.
    pub until: i64,
    /// Since when, in Unix seconds.
    pub made: i64,
    /// Who made it.
    pub by: String,
    /// It was revoked.
    pub revoked: bool,
}

impl Kept {
    /// Why it lets nobody in; `None`: it does.
    #[must_use]
    pub fn void(&self, now: Time) -> Option<Void> {
        if self.revoked {
            Some(Void::Revoked)
        } else if self.used >= self.uses {
            Some(Void::Used)
        } else if self.until < now.seconds() {
            Some(Void::Ended)
        } else {
            None
        }
    }
}

/// An operator's yes to a machine whose certificate ran out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Whose.
    pub identity: String,
    /// Until when, in Unix seconds.
    pub until: i64,
    /// Who said it.
    pub by: String,
}

/// All tokens and admissions (pure).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Tokens, the oldest first.
    pub tokens: Vec<Kept>,
    /// Admissions.
    pub admissions: Vec<Admission>,
}

impl Tokens {
    fn tidy(&mut self, now: Time) {
        self.tokens.retain(|kept| Time::from_seconds(kept.until).plus(LISTED) >= now);
        self.admissions.retain(|admission| admission.until >= now.seconds());
    }

    /// The token of a secret, if it lets somebody in.
    ///
    /// # Errors
    /// Why it does not.
    pub fn look(&self, secret: &str, now: Time) -> Result<&Kept, Void> {
        let hash = hash(secret);
        let kept = self.tokens.iter().find(|kept| kept.hash == hash).ok_or(Void::Unknown)?;
        kept.void(now).map_or(Ok(kept), Err)
    }

    /// Counts a use.
    fn count(&mut self, id: &str) {
        for kept in self.tokens.iter_mut().filter(|kept| kept.id == id) {
            kept.used = kept.used.saturating_add(1);
        }
    }

    /// Whether an operator let `identity` come back; it holds once.
    fn admit(&mut self, identity: &Identity, now: Time) -> bool {
        let named = identity.to_string();
        let place = self
            .admissions
            .iter()
            .position(|admission| admission.identity == named && admission.until >= now.seconds());
        place.map(|place| self.admissions.remove(place)).is_some()
    }
}

fn hash(secret: &str) -> String {
    blake3::hash(secret.as_bytes()).to_hex().to_string()
}

/// What is to be made.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whom it lets in.
    pub purpose: Purpose,
    /// How often.
    pub uses: u32,
    /// For how long.
    pub valid: Duration,
}

/// The file of tokens.
#[derive(Clone, Debug)]
pub struct Register {
    dir: PathBuf,
}

impl Register {
    /// That of an authority.
    #[must_use]
    pub fn of(authority: &Authority) -> Self {
        Self { dir: authority.dir().to_owned() }
    }

    /// All tokens.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&self) -> Result<Tokens, TokenError> {
        let path = self.dir.join(FILE);
        if !path.exists() {
            return Ok(Tokens::default());
        }
        let text = folder::read(&path)?;
        serde_json::from_str(&text)
            .map_err(|error| TokenError::Form { path, reason: error.to_string() })
    }

    /// Changes the file as a whole, alone. What `change` answers with an error is not written.
    fn change<T, E: From<TokenError>>(
        &self,
        now: Time,
        change: impl FnOnce(&mut Tokens) -> Result<T, E>,
    ) -> Result<T, E> {
        let _held = folder::hold(&self.dir, LOCK).map_err(TokenError::from)?;
        let mut tokens = self.read()?;
        tokens.tidy(now);
        let answer = change(&mut tokens)?;
        let path = self.dir.join(FILE);
        let text = serde_json::to_string_pretty(&tokens)
            .map_err(|error| TokenError::Form { path: path.clone(), reason: error.to_string() })?;
        folder::replace(&path, text.as_bytes(), Readers::Owner).map_err(TokenError::from)?;
        Ok(answer)
    }

    /// Makes a token: its name in lists, and its secret, which is known from now on only to who is told.
    ///
    /// # Errors
    /// If there are too many, or the file cannot be written.
    pub fn create(
        &self,
        wanted: &Wanted,
        by: &str,
        now: Time,
    ) -> Result<(String, String), TokenError> {
        let (mut secret, mut id) = ([0; 32], [0; 4]);
        let random = SystemRandom::new();
        random
            .fill(&mut secret)
            .and_then(|()| random.fill(&mut id))
            .map_err(|_| TokenError::Random)?;
        let (secret, id) = (HEXLOWER.encode(&secret), HEXLOWER.encode(&id));
        self.change(now, |tokens| {
            if tokens.tokens.len() >= TOKENS_MAX {
                return Err(TokenError::Full);
            }
            tokens.tokens.push(Kept {
                id: id.clone(),
                hash: hash(&secret),
                purpose: wanted.purpose.clone(),
                uses: wanted.uses.min(USES_MAX),
                used: 0,
                until: now.plus(wanted.valid).seconds(),
                made: now.seconds(),
                by: by.to_owned(),
                revoked: false,
            });
            Ok(())
        })?;
        Ok((id, secret))
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn revoke(&self, id: &str, now: Time) -> Result<(), TokenError> {
        self.change(now, |tokens| {
            let kept = tokens.tokens.iter_mut().find(|kept| kept.id == id);
            kept.ok_or_else(|| TokenError::Unknown(id.chars().take(64).collect()))?.revoked = true;
            Ok(())
        })
    }

    /// Lets `identity` come back once with a certificate that ran out.
    ///
    /// # Errors
    /// If there are too many admissions, or the file cannot be written.
    pub fn admit(
        &self,
        identity: &Identity,
        valid: Duration,
        by: &str,
        now: Time,
    ) -> Result<(), TokenError> {
        let named = identity.to_string();
        self.change(now, |tokens| {
            tokens.admissions.retain(|admission| admission.identity != named);
            if tokens.admissions.len() >= ADMISSIONS_MAX {
                return Err(TokenError::FullOfAdmissions);
            }
            tokens.admissions.push(Admission {
                identity: named,
                until: now.plus(valid).seconds(),
                by: by.to_owned(),
            });
            Ok(())
        })
    }

    /// Does `grant` with the token of a secret, and counts the use before anybody has what was granted.
    pub(super) fn spend<T, E: From<TokenError> + From<Void>>(
        &self,
        secret: &str,
        now: Time,
        grant: impl FnOnce(&Purpose) -> Result<T, E>,
    ) -> Result<T, E> {
        self.change(now, |tokens| {
            let kept = tokens.look(secret, now)?.clone();
            let granted = grant(&kept.purpose)?;
            tokens.count(&kept.id);
            Ok(granted)
        })
    }

    /// Does `grant` if an operator let `identity` come back; the admission is used up by it.
    pub(super) fn come_back<T, E: From<TokenError>>(
        &self,
        identity: &Identity,
        now: Time,
        refused: impl FnOnce() -> E,
        grant: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.change(
            now,
            |tokens| {
                if tokens.admit(identity, now) { grant() } else { Err(refused()) }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn wanted(uses: u32) -> Wanted {
        Wanted { purpose: Purpose::Agency(AgencyId::local()), uses, valid: HOUR }
    }

    fn spend(register: &Register, secret: &str, now: Time) -> Result<(), Void> {
        register.spend(secret, now, |_| Ok(())).map_err(|error: Refused| error.0.unwrap())
    }

    struct Refused(Option<Void>);
    impl From<Void> for Refused {
        fn from(void: Void) -> Self {
            Self(Some(void))
        }
    }
    impl From<TokenError> for Refused {
        fn from(_: TokenError) -> Self {
            Self(None)
        }
    }

    #[test]
    fn a_token_lets_in_as_often_as_it_says_until_it_ends_or_is_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let register = Register { dir: dir.path().to_owned() };
        let now = Time::from_seconds(1_000_000);
        let (_, twice) = register.create(&wanted(2), "lan", now).unwrap();
        let (id, other) = register.create(&wanted(1), "lan", now).unwrap();
        assert_eq!(spend(&register, &twice, now), Ok(()));
        assert_eq!(spend(&register, &twice, now.plus(HOUR)), Ok(()));
        assert_eq!(spend(&register, &twice, now), Err(Void::Used));
        assert_eq!(spend(&register, &"0".repeat(64), now), Err(Void::Unknown));
        assert_eq!(spend(&register, &other, now.plus(2 * HOUR)), Err(Void::Ended));
        register.revoke(&id, now).unwrap();
        assert_eq!(spend(&register, &other, now), Err(Void::Revoked));
        assert!(matches!(register.revoke("none", now), Err(TokenError::Unknown(_))));
        let kept = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(!kept.contains(&twice) && !kept.contains(&other), "{kept}");
        register.create(&wanted(1), "lan", now.plus(LISTED + 2 * HOUR)).unwrap();
        assert_eq!(register.read().unwrap().tokens.len(), 1);
    }

    #[test]
    fn a_use_that_came_to_nothing_is_not_counted() {
        let dir = tempfile::tempdir().unwrap();
        let register = Register { dir: dir.path().to_owned() };
        let now = Time::from_seconds(1_000_000);
        let (_, once) = register.create(&wanted(1), "lan", now).unwrap();
        let failed: Result<(), Refused> = register.spend(&once, now, |_| Err(Refused(None)));
        assert!(failed.is_err());
        assert_eq!(spend(&register, &once, now), Ok(()));
    }

    #[test]
    fn of_many_at_once_exactly_as_many_get_in_as_may() {
        let dir = tempfile::tempdir().unwrap();
        let register = Register { dir: dir.path().to_owned() };
        let now = Time::from_seconds(1_000_000);
        let (_, secret) = register.create(&wanted(3), "lan", now).unwrap();
        let taken: usize = std::thread::scope(|scope| {
            let tries: Vec<_> =
                (0..16).map(|_| scope.spawn(|| spend(&register, &secret, now).is_ok())).collect();
            tries.into_iter().map(|one| usize::from(one.join().unwrap())).sum()
        });
        assert_eq!(taken, 3);
    }

    #[test]
    fn an_admission_holds_once_for_whom_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let register = Register { dir: dir.path().to_owned() };
        let now = Time::from_seconds(1_000_000);
        let identity = |name: &str| format!("spiffe://vonggac/collector/{name}").parse().unwrap();
        register.admit(&identity("a"), HOUR, "lan", now).unwrap();
        let back = |name: &str, now| {
            register
                .come_back(&identity(name), now, || Refused(None), || Ok::<_, Refused>(()))
                .is_ok()
        };
        assert!(!back("b", now) && !back("a", now.plus(2 * HOUR)));
        register.admit(&identity("a"), HOUR, "lan", now).unwrap();
        assert!(back("a", now) && !back("a", now));
    }
}

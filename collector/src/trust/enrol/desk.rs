//! What is granted to whom. It reads and writes files, and so is called on threads that may wait.

use vonggac_wire::{
    AgentId, Identity, Time,
    enrol::{Asked, Granted, Lists, Renewal},
};

use crate::trust::{
    authority::{Authority, AuthorityError, FileError, Issued, Request, SubjectKey, ledger::Usage},
    token::{Purpose, Register, TokenError, Void},
};

/// By whom, in the ledger.
const BY: &str = "enrolment";

/// Why nothing is granted.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The token.
    #[error("{0}")]
    Token(#[from] Void),
    /// The question.
    #[error("{0}")]
    Asked(String),
    /// Somebody has that name.
    #[error(
        "{0} has a certificate already; revoke it, or have a token made with --agent and that name"
    )]
    Taken(Identity),
    /// No certificate was shown.
    #[error("a renewal wants the present certificate; enrol with a token instead")]
    Nobody,
    /// The certificate was revoked.
    #[error("the certificate was revoked; enrol with a new token")]
    Revoked,
    /// The certificate ran out.
    #[error(
        "the certificate ran out: an administrator has to let it in with `vonggac-collector token admit {0}`"
    )]
    Expired(Identity),
    /// The centre's own fault.
    #[error(transparent)]
    Authority(AuthorityError),
    /// The centre's own fault.
    #[error(transparent)]
    Register(#[from] TokenError),
}

impl From<AuthorityError> for Refusal {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::Csr(error) => Self::Asked(error.to_string()),
            AuthorityError::Name(error) => Self::Asked(error.to_string()),
            other => Self::Authority(other),
        }
    }
}

impl From<FileError> for Refusal {
    fn from(error: FileError) -> Self {
        Self::Authority(error.into())
    }
}

impl Refusal {
    /// One word for programs and figures.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Asked(_) => "request",
            Self::Taken(_) => "taken",
            Self::Nobody => "nobody",
            Self::Revoked => "revoked",
            Self::Expired(_) => "expired",
            Self::Authority(_) | Self::Register(_) => "failed",
        }
    }
}

/// Who shows a certificate; the handshake has shown that the key is theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whom it names.
    pub identity: Identity,
    /// Its serial number.
    pub serial: String,
    /// Its end.
    pub not_after: Time,
}

/// Grants certificates.
#[derive(Clone, Debug)]
pub struct Desk {
    authority: Authority,
    register: Register,
    brokers: Vec<String>,
}

impl Desk {
    /// For an authority; those who enrol are told Kafka's addresses.
    #[must_use]
    pub fn new(authority: Authority, brokers: Vec<String>) -> Self {
        Self { register: Register::of(&authority), authority, brokers }
    }

    /// A certificate for a token.
    ///
    /// # Errors
    /// Why not. The token is not used up by it.
    pub fn enrol(&self, asked: &Asked, now: Time) -> Result<Granted, Refusal> {
        self.register.spend(&asked.token, now, |purpose| {
            if asked.kind.is_some_and(|kind| kind != purpose.kind()) {
                return Err(Refusal::Asked(format!("the token is for {purpose}")));
            }
            let (identity, names, again) = whom(purpose, asked.name.as_deref())?;
            if !again && self.authority.register(now)?.good(&identity, now).next().is_some() {
                return Err(Refusal::Taken(identity));
            }
            self.grant(identity, names, (&asked.csr, asked.signing_csr.as_deref()), now)
        })
    }

    /// The next certificate for one that is shown.
    ///
    /// # Errors
    /// Why not.
    pub fn renew(
        &self,
        caller: Option<&Caller>,
        asked: &Renewal,
        now: Time,
    ) -> Result<Granted, Refusal> {
        let caller = caller.ok_or(Refusal::Nobody)?;
        // The handshake looked, too, but its lists may be some seconds old.
        let register = self.authority.register(now)?;
        if register.revoked.contains_key(&caller.serial) {
            return Err(Refusal::Revoked);
        }
        let known = register.issued.get(&caller.serial);
        let Some(known) = known.filter(|known| known.identity == caller.identity) else {
            return Err(Refusal::Nobody);
        };
        if known.usage != Usage::Tls {
            return Err(Refusal::Nobody);
        }
        if register.revoked.contains_key(&known.issuer) {
            return Err(Refusal::Revoked);
        }
        let grant = || {
            let requests = (asked.csr.as_str(), asked.signing_csr.as_deref());
            self.grant(known.identity.clone(), known.names.clone(), requests, now)
        };
        if known.not_after >= now {
            return grant();
        }
        let refused = || Refusal::Expired(known.identity.clone());
        self.register.come_back(&known.identity, now, refused, grant)
    }

    /// What is trusted and what is revoked.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn lists(&self) -> Result<Lists, Refusal> {
        Ok(Lists { authorities: self.authority.authorities()?, revoked: self.authority.revoked()? })
    }

    fn grant(
        &self,
        identity: Identity,
        names: Vec<String>,
        (csr, signing_csr): (&str, Option<&str>),
        now: Time,
    ) -> Result<Granted, Refusal> {
        // What others sign goes into no chain: a signing key of theirs could only be taken for something else.
        if signing_csr.is_some() && !matches!(identity, Identity::Agent { .. }) {
            return Err(Refusal::Asked("only agents sign what they send".into()));
        }
        let request = |csr: &str, names, usage| Request {
            key: SubjectKey::Request(csr.to_owned()),
            usage,
            ..Request::fresh(identity.clone(), names, BY)
        };
        let signing = |csr| self.authority.issue(&request(csr, Vec::new(), Usage::Signing), now);
        let signing: Option<Issued> = signing_csr.map(signing).transpose()?;
        let issued = self.authority.issue(&request(csr, names, Usage::Tls), now)?;
        Ok(Granted {
            identity: identity.to_string(),
            certificate: issued.certificate,
            signing_certificate: signing.map(|signing| signing.certificate),
            until: issued.not_after.to_string(),
            lists: Lists { authorities: issued.authorities, revoked: issued.revoked },
            kafka: self.brokers.clone(),
        })
    }
}

/// Whom a token lets in, by which names, and whether also where that one is known.
fn whom(purpose: &Purpose, name: Option<&str>) -> Result<(Identity, Vec<String>, bool), Refusal> {
    let other = |meant: &AgentId| name.is_some_and(|name| name != meant.as_str());
    match purpose {
        Purpose::Agency(agency) => {
            let name = name.ok_or_else(|| Refusal::Asked("the agent gives no name".into()))?;
            let agent = AgentId::new(name).map_err(|error| Refusal::Asked(error.to_string()))?;
            Ok((Identity::Agent { agency: agency.clone(), agent }, Vec::new(), false))
        }
        Purpose::Agent(_, meant) | Purpose::Collector(meant, _) | Purpose::Person(meant)
            if other(meant) =>
        {
            Err(Refusal::Asked(format!("the token is for {purpose}")))
        }
        Purpose::Agent(agency, agent) => {
            let identity = Identity::Agent { agency: agency.clone(), agent: agent.clone() };
            Ok((identity, Vec::new(), true))
        }
        Purpose::Collector(name, names) => {
            Ok((Identity::Collector(name.clone()), names.clone(), true))
        }
        Purpose::Person(name) => Ok((Identity::Person(name.clone()), Vec::new(), true)),
    }
}

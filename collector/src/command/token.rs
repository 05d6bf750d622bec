//! `token`: who may enrol, and who may come back. It needs neither Kafka nor engine.

use std::{path::Path, time::Duration};

use clap::{Args, Subcommand};
use vonggac_wire::{AgencyId, AgentId, Identity, Time, enrol::Token};

use super::{
    pki::{PkiError, Place, consent, duration},
    sheet::{Cell, Format, Sheet},
};
use crate::trust::{
    authority::ledger::Event,
    token::{Purpose, Register, Void, Wanted},
};

/// What can be asked of tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token; it is printed once and kept nowhere.
    Create(Create),
    /// Tokens and admissions.
    List {
        /// How it is written.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Revoke tokens by their names in the list.
    Revoke {
        /// Their names.
        #[arg(required = true)]
        ids: Vec<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Let a machine come back once whose certificate ran out.
    Admit {
        /// Its identity, like spiffe://vonggac/agency/H49/agent/web-2.
        identity: Identity,
        /// For how long it may.
        #[arg(long, value_parser = duration, default_value = "24h")]
        valid: Duration,
    },
}

/// A token to be made.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whom").required(true).args(["agency", "collector", "person"]))]
pub(super) struct Create {
    /// For agents of this agency.
    #[arg(long)]
    pub(super) agency: Option<AgencyId>,
    /// For this agent of it alone, also where it is known: it was set up anew.
    #[arg(long, requires = "agency")]
    agent: Option<AgentId>,
    /// For this collector.
    #[arg(long)]
    collector: Option<AgentId>,
    /// A name or address by which the collector is connected to; once for each.
    #[arg(long = "name", value_name = "NAME", requires = "collector")]
    names: Vec<String>,
    /// For this person.
    #[arg(long)]
    person: Option<AgentId>,
    /// How often it may be used.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    uses: u32,
    /// For how long it may be used.
    #[arg(long, value_parser = duration, default_value = "24h")]
    valid: Duration,
    /// The enrolment's address, like https://centre.example:7444; none: as configured in [trust.enrol].
    #[arg(long)]
    centre: Option<String>,
}

impl Create {
    fn purpose(&self) -> Result<Purpose, PkiError> {
        match (&self.agency, &self.agent, &self.collector, &self.person) {
            (Some(agency), Some(agent), _, _) => Ok(Purpose::Agent(agency.clone(), agent.clone())),
            (Some(agency), None, _, _) => Ok(Purpose::Agency(agency.clone())),
            (_, _, Some(name), _) if self.names.is_empty() => {
                Err(PkiError::Nameless(name.to_string()))
            }
            (_, _, Some(name), _) => Ok(Purpose::Collector(name.clone(), self.names.clone())),
            (_, _, _, Some(name)) => Ok(Purpose::Person(name.clone())),
            _ => Err(PkiError::Whom),
        }
    }
}

/// The answer.
pub(super) fn run(command: &Command, place: &Place, config: &Path) -> Result<String, PkiError> {
    let now = Time::now();
    let authority = place.authority(config)?;
    let register = Register::of(&authority);
    match command {
        Command::Create(asked) => {
            let purpose = asked.purpose()?;
            let centre = match &asked.centre {
                Some(centre) => centre.clone(),
                None => place.settings(config)?.enrol.address().ok_or(PkiError::NoCentre)?,
            };
            let fingerprint = authority.fingerprint()?;
            // Before anything is kept.
            Token::new("0".repeat(64), fingerprint.clone(), centre.clone())
                .map_err(|_| PkiError::Centre(centre.clone()))?;
            let wanted = Wanted { purpose, uses: asked.uses, valid: asked.valid };
            let (id, secret) = register.create(&wanted, place.by(), now)?;
            // In the ledger before anybody has it.
            authority.note(place.by(), made(id, &wanted, now), now)?;
            let token = Token::new(secret, fingerprint, centre.clone());
            Ok(token.map_err(|_| PkiError::Centre(centre))?.reveal())
        }
        Command::List { format } => list(&register, *format, now),
        Command::Revoke { ids, yes } => {
            consent(*yes, &format!("Revoke {} tokens?", ids.len()))?;
            for id in ids {
                register.revoke(id, now)?;
                authority.note(place.by(), Event::TokenRevoked { token: id.clone() }, now)?;
            }
            Ok(format!("revoked: {}", ids.join(", ")))
        }
        Command::Admit { identity, valid } => {
            let until = now.plus(*valid);
            // What lets somebody in is written down before it does.
            authority.note(
                place.by(),
                Event::Admitted { identity: identity.clone(), until },
                now,
            )?;
            register.admit(identity, *valid, place.by(), now)?;
            Ok(format!("{identity} may come back once until {until}"))
        }
    }
}

fn made(token: String, wanted: &Wanted, now: Time) -> Event {
    let agency = match &wanted.purpose {
        Purpose::Agency(agency) | Purpose::Agent(agency, _) => agency.to_string(),
        _ => String::new(),
    };
    let (purpose, until) = (wanted.purpose.to_string(), now.plus(wanted.valid));
    Event::TokenMade { token, purpose, uses: wanted.uses, until, agency }
}

fn list(register: &Register, format: Format, now: Time) -> Result<String, PkiError> {
    let tokens = register.read()?;
    let columns = ["token", "for", "uses", "used", "state", "until", "by", "made"];
    let mut sheet = Sheet::new(&columns);
    let time = |seconds: i64| Cell::time(Time::from_seconds(seconds).micros());
    for kept in &tokens.tokens {
        let state = match kept.void(now) {
            None => "good",
            Some(Void::Ended) => "ended",
            Some(Void::Used) => "used up",
            Some(Void::Revoked | Void::Unknown) => "revoked",
        };
        sheet.push(vec![
            Cell::text(&kept.id),
            Cell::text(kept.purpose.to_string()),
            Cell::Number(kept.uses.into()),
            Cell::Number(kept.used.into()),
            Cell::text(state),
            time(kept.until),
            Cell::text(&kept.by),
            time(kept.made),
        ]);
    }
    for admission in &tokens.admissions {
        sheet.push(vec![
            Cell::text("admission"),
            Cell::text(&admission.identity),
            Cell::Number(1),
            Cell::Number(0),
            Cell::text(if admission.until >= now.seconds() { "good" } else { "ended" }),
            time(admission.until),
            Cell::text(&admission.by),
            Cell::None,
        ]);
    }
    Ok(sheet.write(format))
}

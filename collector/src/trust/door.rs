//! Where every call of the console's service comes in: who it is, by their certificate, and what of the nation they reach by it.
//!
//! In plain text, which was asked for by name, the console says of itself who it is: an operator is an administrator of a test centre, and
//! `--observer` an observer. Wherever there is a certificate nothing else is believed.

use tonic::Request;
use vonggac_daemon::peer::Peer;
use vonggac_wire::{Identity, caller};

use super::{
    denial::Denial,
    role::{Duty, Grant, Role, watch::Roles},
    scope::{Call, Scope, permit},
};
use crate::allowance;

/// Who calls, and what they reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The person's name.
    pub name: String,
    /// As what.
    pub role: Role,
    /// What of the nation this call reaches.
    pub scope: Scope,
    /// Whether a certificate says so.
    pub is_proven: bool,
    /// What they may do where two persons are asked for.
    pub duty: Duty,
}

/// The door.
#[derive(Clone, Debug)]
pub struct Door {
    roles: Roles,
}

impl Door {
    /// A door for people of these roles.
    #[must_use]
    pub const fn new(roles: Roles) -> Self {
        Self { roles }
    }

    /// Who calls; `Err` with who it would be, where that is known.
    ///
    /// # Errors
    /// Why nobody may come in.
    pub fn enter<T>(&self, request: &Request<T>, call: Call) -> Result<Guest, Denial> {
        // Whoever came by no connection of ours has shown nothing.
        let unknown = || Denial::NoPerson("an unknown caller".into());
        let peer = request.extensions().get::<Peer>().ok_or_else(unknown)?;
        let (name, grant, is_proven) = match peer.identity.as_ref() {
            None => {
                let (name, role) = said(request);
                (name, Grant::new(role, Scope::Nation), false)
            }
            Some(Identity::Person(person)) => {
                let name = person.to_string();
                let grant = self.roles.of(&name).ok_or_else(|| Denial::NoRole(name.clone()))?;
                (name, grant, true)
            }
            // A collector's own doctor looks whether it answers.
            Some(collector @ Identity::Collector(_)) if call == Call::Watch => {
                let grant = Grant::new(Role::Observer, Scope::Nation);
                (collector.to_string(), grant, false)
            }
            Some(other) => return Err(Denial::NoPerson(other.to_string())),
        };
        let scope = permit(&grant, call)?;
        Ok(Guest { name, role: grant.role, scope, is_proven, duty: grant.duty })
    }

    /// Whether a guest still reaches what they came in for: streams ask again before each reply.
    ///
    /// # Errors
    /// If their role is another one by now.
    pub fn still(&self, guest: &Guest, call: Call) -> Result<(), Denial> {
        if !guest.is_proven {
            return Ok(());
        }
        let now = self.roles.of(&guest.name);
        let same = now.is_some_and(|grant| {
            grant.role == guest.role && permit(&grant, call).is_ok_and(|scope| scope == guest.scope)
        });
        if same { Ok(()) } else { Err(Denial::Changed) }
    }
}

/// Who calls, from where and by which certificate, for the audit log: also where they may not come in.
#[must_use]
pub fn speaks<T>(request: &Request<T>) -> (String, String, String) {
    let peer = request.extensions().get::<Peer>();
    let who = match peer.and_then(|peer| peer.identity.as_ref()) {
        Some(Identity::Person(person)) => person.to_string(),
        Some(other) => other.to_string(),
        None => said(request).0,
    };
    let address = peer.map(|peer| peer.address.to_string()).unwrap_or_default();
    (who, address, peer.map(|peer| peer.serial.clone()).unwrap_or_default())
}

/// Who calls, as it says.
fn said<T>(request: &Request<T>) -> (String, Role) {
    let metadata = request.metadata();
    let role = metadata.get(caller::ROLE).map_or(allowance::Role::Operator, |role| {
        allowance::Role::from_name(role.to_str().unwrap_or_default())
    });
    let role = match role {
        allowance::Role::Operator => Role::Administrator,
        allowance::Role::Observer => Role::Observer,
    };
    let name = metadata
        .get_bin(caller::NAME)
        .and_then(|name| name.to_bytes().ok())
        .map(|name| {
            let name = &name[..name.len().min(caller::NAME_BYTES_MAX)];
            String::from_utf8_lossy(name).into_owned()
        })
        .unwrap_or_default();
    (name, role)
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, path::Path};

    use tonic::metadata::MetadataValue;

    use super::*;
    use crate::trust::role::RoleBook;

    fn door() -> Door {
        let text = "[[person]]\nname = \"lan\"\nrole = \"agency-operator\"\nagencies = [\"H49\"]\n\
                    [[person]]\nname = \"audit\"\nrole = \"auditor\"\n";
        Door::new(Roles::fixed(RoleBook::from_text(Path::new("r"), text.into()).unwrap()))
    }

    fn of(identity: Option<&str>) -> Request<()> {
        let mut request = Request::new(());
        let identity = identity.map(|uri| format!("spiffe://vonggac/{uri}").parse().unwrap());
        let address = SocketAddr::from(([192, 0, 2, 7], 9));
        request.extensions_mut().insert(Peer { address, identity, serial: "0a".into() });
        request
    }

    #[test]
    fn who_somebody_is_comes_from_the_certificate_and_from_nothing_that_they_say() {
        let mut request = of(Some("person/lan"));
        request.metadata_mut().insert(caller::ROLE, MetadataValue::from_static("administrator"));
        request
            .metadata_mut()
            .insert_bin(caller::NAME, MetadataValue::from_bytes(b"somebody else"));
        let guest = door().enter(&request, Call::Act).unwrap();
        assert_eq!((guest.name.as_str(), guest.role), ("lan", Role::AgencyOperator));
        assert_eq!(guest.scope, Scope::Agencies(vec!["H49".into()]));
        assert!(guest.is_proven);
        let told = ("lan".to_owned(), "192.0.2.7:9".to_owned(), "0a".to_owned());
        assert_eq!(speaks(&request), told);
        assert!(door().enter(&request, Call::Audit).is_err());
    }

    #[test]
    fn whoever_has_no_role_or_is_no_person_reaches_nothing() {
        for who in ["person/minh", "collector/a", "broker/a", "agency/H49/agent/web-2"] {
            let looks = |call: &Call| who.starts_with("collector") && *call == Call::Watch;
            for call in Call::ALL.into_iter().filter(|call| !looks(call)) {
                let refused = door().enter(&of(Some(who)), call).unwrap_err();
                let expected = if who.starts_with("person") { "no-role" } else { "not-a-person" };
                assert_eq!(refused.name(), expected, "{who} {call:?}");
            }
        }
        // Whoever came by no port of ours is nobody, whatever they say.
        for call in Call::ALL {
            assert!(matches!(door().enter(&Request::new(()), call), Err(Denial::NoPerson(_))));
        }
        assert!(door().enter(&of(Some("person/audit")), Call::Tail).is_err());
    }

    #[test]
    fn in_plain_text_an_operator_is_an_administrator_and_an_observer_an_observer() {
        let mut request = of(None);
        assert_eq!(door().enter(&request, Call::Audit).unwrap().role, Role::Administrator);
        request.metadata_mut().insert(caller::ROLE, MetadataValue::from_static("observer"));
        assert_eq!(door().enter(&request, Call::Sql).unwrap().role, Role::Observer);
        assert!(door().enter(&request, Call::Act).is_err());
    }

    #[test]
    fn a_stream_ends_when_its_viewers_role_does() {
        let guest = door().enter(&of(Some("person/lan")), Call::Watch).unwrap();
        assert!(door().still(&guest, Call::Watch).is_ok());
        let nobody = Door::new(Roles::fixed(RoleBook::default()));
        assert!(nobody.still(&guest, Call::Watch).is_err());
    }
}

//! Who has no token, a wrong one, or wants more than their token says.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, SanType};
use serde_json::{Value, json};
use vonggac_collector::trust::token::{Purpose, Register, Wanted};
use vonggac_wire::{AgencyId, AgentId, Time};

use super::{
    ground::{Ground, OWN},
    tally::Tally,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// The addresses of who asks: those of cases that show wrong tokens are one each, so that none is silenced by another's.
const FIRST: usize = 20;

const ENROL: &str = "/v1/enrol";
const RENEW: &str = "/v1/renew";

/// What is at hand.
struct Bench {
    good: String,
    used: String,
    ended: String,
    revoked: String,
    collector: String,
    person: String,
}

/// A question.
struct Asked {
    method: &'static str,
    path: &'static str,
    body: Vec<u8>,
    /// The certificate that is shown.
    shows: Option<&'static str>,
}

struct Case {
    sentence: &'static str,
    make: fn(&Bench) -> anyhow::Result<Asked>,
    status: u16,
    /// The word of the answer and of the figure.
    reason: &'static str,
}

fn csr_of(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> anyhow::Result<String> {
    let mut params = CertificateParams::default();
    change(&mut params);
    Ok(params.serialize_request(key)?.pem()?)
}

fn csr(change: impl FnOnce(&mut CertificateParams)) -> anyhow::Result<String> {
    csr_of(&KeyPair::generate()?, change)
}

fn uri(params: &mut CertificateParams, uri: &str) {
    if let Ok(uri) = uri.try_into() {
        params.subject_alt_names.push(SanType::URI(uri));
    }
}

fn post(path: &'static str, body: &Value) -> anyhow::Result<Asked> {
    Ok(Asked { method: "POST", path, body: serde_json::to_vec(body)?, shows: None })
}

fn enrol(token: &str, name: &str, csr: &str) -> anyhow::Result<Asked> {
    post(ENROL, &json!({ "token": token, "name": name, "csr": csr }))
}

/// As a program of a kind asks.
fn enrol_as(kind: &str, token: &str, name: Option<&str>, csr: &str) -> anyhow::Result<Asked> {
    let mut asked = json!({ "kind": kind, "token": token, "csr": csr });
    if let Some(name) = name {
        asked["name"] = name.into();
    }
    post(ENROL, &asked)
}

fn unit(params: &mut CertificateParams, unit: &str) {
    params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
}

/// A renewal with a certificate that is shown.
fn renew(shows: Option<&'static str>, csr: &str) -> anyhow::Result<Asked> {
    Ok(Asked { shows, ..post(RENEW, &json!({ "csr": csr }))? })
}

const CASES: [Case; 35] = [
    Case {
        sentence: "a token that nobody made enrols nobody",
        make: |_| enrol(&"7".repeat(64), "a", &csr(|_| {})?),
        status: 403,
        reason: "token",
    },
    Case {
        sentence: "a token that is no token enrols nobody",
        make: |_| enrol("' OR 1=1", "a", &csr(|_| {})?),
        status: 403,
        reason: "token",
    },
    Case {
        sentence: "an empty token enrols nobody",
        make: |_| enrol("", "a", &csr(|_| {})?),
        status: 403,
        reason: "token",
    },
    Case {
        sentence: "a token that was used up enrols nobody",
        make: |b| enrol(&b.used, "another", &csr(|_| {})?),
        status: 403,
        reason: "token",
    },
    Case {
        sentence: "a token whose time is over enrols nobody",
        make: |b| enrol(&b.ended, "a", &csr(|_| {})?),
        status: 403,
        reason: "token",
    },
    Case {
        sentence: "a token that was revoked enrols nobody",
        make: |b| enrol(&b.revoked, "a", &csr(|_| {})?),
        status: 403,
        reason: "token",
    },
    Case {
        sentence: "a request that names an agent of another agency is refused",
        make: |b| enrol(&b.good, "a", &csr(|p| uri(p, "spiffe://vonggac/agency/tk-48/agent/a"))?),
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a request that names another agent is refused",
        make: |b| enrol(&b.good, "a", &csr(|p| uri(p, "spiffe://vonggac/agency/H49/agent/web-1"))?),
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a request that names a person is refused",
        make: |b| enrol(&b.good, "a", &csr(|p| uri(p, "spiffe://vonggac/person/lan"))?),
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a request that names a collector is refused",
        make: |b| enrol(&b.good, "a", &csr(|p| uri(p, "spiffe://vonggac/collector/a"))?),
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a request of two identities is refused",
        make: |b| {
            enrol(
                &b.good,
                "a",
                &csr(|p| {
                    uri(p, "spiffe://vonggac/agency/H49/agent/a");
                    uri(p, "spiffe://vonggac/agency/tk-48/agent/a");
                })?,
            )
        },
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a request whose signature is of another key is refused",
        make: |b| {
            let pem = csr(|_| {})?;
            let at = pem.len() - 60;
            let other = if &pem[at..at + 1] == "A" { "B" } else { "A" };
            enrol(&b.good, "a", &format!("{}{other}{}", &pem[..at], &pem[at + 1..]))
        },
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a request of a key of another kind is refused",
        make: |b| {
            enrol(
                &b.good,
                "a",
                &csr_of(&KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)?, |_| {})?,
            )
        },
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a request that is no request is refused",
        make: |b| {
            enrol(
                &b.good,
                "a",
                "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
            )
        },
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "an agent whose name is a path is refused",
        make: |b| enrol(&b.good, "../../a", &csr(|_| {})?),
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "an agent without a name is refused",
        make: |b| post(ENROL, &json!({ "token": b.good, "csr": csr(|_| {})? })),
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "an agent that is there is not enrolled a second time",
        make: |b| enrol(&b.good, "web-1", &csr(|_| {})?),
        status: 409,
        reason: "taken",
    },
    Case {
        sentence: "a collector's token lets no other collector in",
        make: |b| enrol(&b.collector, "another", &csr(|_| {})?),
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a token for agents lets no person in",
        make: |b| enrol_as("person", &b.good, Some("lan"), &csr(|_| {})?),
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a token for agents lets no collector in",
        make: |b| enrol_as("collector", &b.good, Some("centre-2"), &csr(|_| {})?),
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a person's token lets no agent in, though it calls itself by the person's name",
        make: |b| enrol_as("agent", &b.person, Some("minh"), &csr(|_| {})?),
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a person's token lets no other person in",
        make: |b| enrol_as("person", &b.person, Some("lan"), &csr(|_| {})?),
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a person's token takes no request that names another person",
        make: |b| {
            enrol_as("person", &b.person, None, &csr(|p| uri(p, "spiffe://vonggac/person/lan"))?)
        },
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a person's token takes no request for the unit of brokers",
        make: |b| enrol_as("person", &b.person, None, &csr(|p| unit(p, "broker"))?),
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a person's token takes no request that names a role",
        make: |b| {
            enrol_as(
                "person",
                &b.person,
                None,
                &csr(|p| uri(p, "spiffe://vonggac/role/administrator"))?,
            )
        },
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a person gets no key that signs batches",
        make: |b| {
            let signing = KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
            post(
                ENROL,
                &json!({ "kind": "person", "token": b.person, "csr": csr(|_| {})?, "signing_csr": csr_of(&signing, |_| {})? }),
            )
        },
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "an agent's request for the unit of collectors is refused",
        make: |b| enrol(&b.good, "a", &csr(|p| unit(p, "collector"))?),
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a person's renewal in another person's name is refused",
        make: |_| renew(Some("lan"), &csr(|p| uri(p, "spiffe://vonggac/person/xem"))?),
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a role that is asked for in the question is refused",
        make: |b| {
            post(
                ENROL,
                &json!({ "token": b.good, "name": "a", "csr": csr(|_| {})?, "role": "administrator" }),
            )
        },
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a question that lies a hundred thousand deep is refused",
        make: |_| {
            Ok(Asked {
                method: "POST",
                path: ENROL,
                body: "[".repeat(30_000).into_bytes(),
                shows: None,
            })
        },
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a question of forty kilobytes is refused",
        make: |_| {
            Ok(Asked { method: "POST", path: ENROL, body: vec![b' '; 40 << 10], shows: None })
        },
        status: 413,
        reason: "request",
    },
    Case {
        sentence: "what is asked elsewhere is not there",
        make: |_| {
            Ok(Asked { method: "GET", path: "/v1/../tokens.json", body: Vec::new(), shows: None })
        },
        status: 404,
        reason: "request",
    },
    Case {
        sentence: "who shows no certificate renews none",
        make: |_| renew(None, &csr(|_| {})?),
        status: 403,
        reason: "nobody",
    },
    Case {
        sentence: "a renewal for another agency is refused",
        make: |_| {
            renew(Some("web-1"), &csr(|p| uri(p, "spiffe://vonggac/agency/tk-48/agent/web-1"))?)
        },
        status: 400,
        reason: "request",
    },
    Case {
        sentence: "a certificate that ran out is not renewed without an administrator's yes",
        make: |_| renew(Some("agent-late"), &csr(|_| {})?),
        status: 403,
        reason: "expired",
    },
];

impl Bench {
    fn new(ground: &Ground) -> anyhow::Result<Self> {
        let register = Register::of(&ground.authority);
        let agents = || AgencyId::new(OWN).map(Purpose::Agency);
        let make = |purpose: Purpose, uses: u32, now: Time| {
            register.create(&Wanted { purpose, uses, valid: HOUR }, "story", now)
        };
        let now = Time::now();
        let (id, revoked) = make(agents()?, 1, now)?;
        register.revoke(&id, now)?;
        let collector = Purpose::Collector(AgentId::new("centre-2")?, vec!["localhost".into()]);
        Ok(Self {
            good: make(agents()?, 100, now)?.1,
            used: make(agents()?, 1, now)?.1,
            ended: make(agents()?, 1, now.minus(2 * HOUR))?.1,
            revoked,
            collector: make(collector, 1, now)?.1,
            person: make(Purpose::Person(AgentId::new("minh")?), 1, now)?.1,
        })
    }
}

/// The status and the whole answer, asked from an address.
fn ask(ground: &Ground, from: usize, asked: &Asked) -> anyhow::Result<(u16, String)> {
    let authorities = ground.set("agent").join("authorities.pem").display().to_string();
    let bound = format!("127.0.0.{from}:0");
    let shown = asked.shows.map(|set| ground.shown(set)).unwrap_or_default();
    let mut options =
        vec!["-quiet", "-bind", &bound, "-CAfile", &authorities, "-verify_return_error"];
    options.extend(shown.iter().map(String::as_str));
    let head = format!(
        "{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        asked.method,
        asked.path,
        asked.body.len()
    );
    let text =
        ground.openssl(&ground.enrolment, &options, &[head.as_bytes(), &asked.body].concat())?;
    let status = text.split("HTTP/1.1 ").nth(1).and_then(|rest| rest.get(..3)?.parse().ok());
    Ok((status.with_context(|| format!("no answer: {text:.400}"))?, text))
}

fn try_one(ground: &Ground, from: usize, case: &Case, bench: &Bench) -> anyhow::Result<()> {
    let label = format!("outcome=\"{}\"", case.reason);
    let before = ground.metric("vonggac_collector_enrolments_total", &[&label])?;
    let (status, text) = ask(ground, from, &(case.make)(bench)?)?;
    ensure!(status == case.status, "answered {status}: {text:.600}");
    ensure!(text.contains(&format!("\"reason\":\"{}\"", case.reason)), "answered {text:.600}");
    ensure!(!text.contains("BEGIN CERTIFICATE"), "a certificate was handed out");
    ground.rises("vonggac_collector_enrolments_total", &[&label], before)
}

/// A token is used once, by two who ask at the same time.
fn once(ground: &Ground, bench: &Bench) -> anyhow::Result<()> {
    let granted = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..2)
            .map(|number| {
                scope.spawn(move || {
                    let name = format!("new-{number}");
                    ask(ground, 10 + number, &enrol(&bench.used, &name, &csr(|_| {})?)?)
                })
            })
            .collect();
        asking.into_iter().filter_map(|asked| asked.join().ok()).collect::<Vec<_>>()
    });
    let good = granted.iter().filter(|asked| matches!(asked, Ok((200, _)))).count();
    ensure!(good == 1, "{good} came in by a token for one: {granted:.400?}");
    Ok(())
}

/// What is wanted besides is left out: nobody becomes an authority by it, or a host of another name.
fn no_more(ground: &Ground, bench: &Bench) -> anyhow::Result<()> {
    let pem = csr(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        if let Ok(name) = "centre.example".try_into() {
            params.subject_alt_names.push(SanType::DnsName(name));
        }
    })?;
    let (status, text) = ask(ground, 12, &enrol(&bench.good, "ambitious", &pem)?)?;
    if status != 200 {
        ensure!(status == 400, "answered {status}: {text:.400}");
        return Ok(());
    }
    let body = text.find('{').context("no JSON")?;
    let granted: Value = serde_json::Deserializer::from_str(&text[body..])
        .into_iter::<Value>()
        .next()
        .context("no JSON")??;
    let file = ground.machine.data().join("attack/ambitious.pem");
    std::fs::write(&file, granted["certificate"].as_str().context("no certificate")?)?;
    let output = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-text", "-in"])
        .arg(&file)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(said.contains("spiffe://vonggac/agency/H49/agent/ambitious"), "it says {said}");
    for more in ["CA:TRUE", "Certificate Sign", "centre.example"] {
        ensure!(!said.contains(more), "it says {said}");
    }
    Ok(())
}

/// Five wrong tokens silence an address, which is told as an incident; another address is listened to.
fn guessed(ground: &Ground, bench: &Bench) -> anyhow::Result<()> {
    for number in 0..5 {
        let (status, _) = ask(ground, 9, &enrol(&format!("{number:064x}"), "a", &csr(|_| {})?)?)?;
        ensure!(status == 403, "guess {number} was answered {status}");
    }
    let label = ["outcome=\"busy\""];
    let before = ground.metric("vonggac_collector_enrolments_total", &label)?;
    let (status, text) = ask(ground, 9, &enrol(&bench.good, "late", &csr(|_| {})?)?)?;
    ensure!(
        status == 429 && text.contains("\"reason\":\"busy\""),
        "answered {status}: {text:.300}"
    );
    ground.rises("vonggac_collector_enrolments_total", &label, before)?;
    ground.wait("an incident", || {
        let rows = ground.machine.rows(&["incidents", "--rule", "token-guessing"])?;
        Ok(rows.iter().any(|row| row.to_string().contains("127.0.0.9")))
    })?;
    let (status, text) = ask(ground, 13, &enrol(&bench.good, "punctual", &csr(|_| {})?)?)?;
    ensure!(status == 200, "another address is answered {status}: {text:.300}");
    Ok(())
}

/// Tries all.
pub(crate) fn try_all(ground: &Ground, tally: &mut Tally) -> anyhow::Result<()> {
    let bench = Bench::new(ground)?;
    tally.note("a token for one lets one in of two who come at once", once(ground, &bench));
    for (number, case) in CASES.iter().enumerate() {
        tally.note(case.sentence, try_one(ground, FIRST + number, case, &bench));
    }
    tally.note(
        "a request to become an authority, or another host, makes neither",
        no_more(ground, &bench),
    );
    tally.note("who guesses tokens is silenced, and it is an incident", guessed(ground, &bench));
    Ok(())
}

//! The running system: one machine with its own authority, people in all roles, agents of two agencies, and certificates of every bad kind.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use hyper_util::rt::TokioIo;
use rdkafka::ClientConfig;
use system_tests::machine::{Machine, Part};
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint, Uri};
use vonggac_collector::trust::authority::{Authority, Lifetimes, Request, ledger::Reason};
use vonggac_daemon::{
    secret::Secret,
    tls::{Current, Files, dial::Dial, listen::Security},
};
use vonggac_wire::{AgencyId, AgentId, Identity, Time, proto::console_client::ConsoleClient};

use super::told::Places;

/// How long something may take to be seen.
pub(crate) const WITHIN: Duration = Duration::from_secs(20);

/// How long the collector may take to start again.
const STARTED_WITHIN: Duration = Duration::from_secs(90);

/// The operator's own agency, and another one.
pub(crate) const OWN: &str = "H49";
/// See [`OWN`].
pub(crate) const FOREIGN: &str = "tk-48";

/// Stands in every text of the other agency, and nowhere else.
pub(crate) const SECRET: &str = "zebra";

const ROLES: &str = "
[[person]]
name = \"lan\"
role = \"agency-operator\"
agencies = [\"H49\"]
[[person]]
name = \"xem\"
role = \"observer\"
agencies = [\"H49\"]
[[person]]
name = \"kiem\"
role = \"auditor\"
[[person]]
name = \"ung\"
role = \"responder\"
";

const DAY: Duration = Duration::from_secs(86_400);

/// The system.
pub(crate) struct Ground {
    pub(crate) machine: Machine,
    pub(crate) authority: Authority,
    pub(crate) runtime: Runtime,
    /// The address of enrolment.
    pub(crate) enrolment: String,
    /// Who is told of incidents.
    pub(crate) places: Places,
}

fn person(name: &str) -> anyhow::Result<Identity> {
    Ok(Identity::Person(AgentId::new(name)?))
}

fn agent(agency: &str, name: &str) -> anyhow::Result<Identity> {
    Ok(Identity::Agent { agency: AgencyId::new(agency)?, agent: AgentId::new(name)? })
}

impl Ground {
    /// Starts it. `None`: the programs are missing.
    pub(crate) fn up() -> anyhow::Result<Option<Self>> {
        let Some(machine) = Machine::trusted()? else { return Ok(None) };
        let authority = Authority::open(&machine.data().join("trust/authority"))?;
        let single: std::net::SocketAddr = machine.address("single_metrics")?.parse()?;
        // The machine's eighth port is a simulated nation's, which is not played here.
        let enrolment = format!("127.0.0.1:{}", single.port() + 1);
        let places = Places::open()?;
        let ground = Self { machine, authority, runtime: Runtime::new()?, enrolment, places };
        ground.issue_good()?;
        ground.issue_bad()?;
        ground.configure()?;
        Ok(Some(ground))
    }

    /// A folder with certificate and key.
    pub(crate) fn set(&self, name: &str) -> PathBuf {
        match name {
            "agent" | "collector" | "person" => self.machine.data().join("trust").join(name),
            _ => self.machine.data().join("attack").join(name),
        }
    }

    fn issue(
        &self,
        name: &str,
        identity: Identity,
        of: &Authority,
        now: Time,
    ) -> anyhow::Result<String> {
        let names = match identity {
            Identity::Collector(_) | Identity::Broker(_) => vec!["localhost".to_owned()],
            _ => Vec::new(),
        };
        let mut request = Request::fresh(identity, names, "story");
        request.valid = Some(2 * DAY);
        let issued = of.issue(&request, now)?;
        issued.write(&self.set(name))?;
        Ok(issued.serial)
    }

    fn issue_good(&self) -> anyhow::Result<()> {
        let (ours, now) = (&self.authority, Time::now());
        for name in ["lan", "xem", "kiem", "ung", "nobody"] {
            self.issue(name, person(name)?, ours, now)?;
        }
        for (name, agency, agent_name) in [
            ("web-1", OWN, "web-1"),
            ("web-2", OWN, "web-2"),
            ("db-1", FOREIGN, "db-1"),
            ("nowhere", "Z99", "x-1"),
        ] {
            self.issue(name, agent(agency, agent_name)?, ours, now)?;
        }
        self.issue("broker", Identity::Broker(AgentId::new("kafka-9")?), ours, now)?;
        Ok(())
    }

    fn issue_bad(&self) -> anyhow::Result<()> {
        let (ours, now) = (&self.authority, Time::now());
        for (name, identity) in [("over", person("lan")?), ("agent-over", agent(OWN, "old-1")?)] {
            self.issue(name, identity, ours, now.minus(100 * DAY))?;
        }
        // Over when it is asked about: an administrator may still let it in.
        let mut late = Request::fresh(agent(OWN, "late-1")?, Vec::new(), "story");
        late.valid = Some(Duration::from_secs(5));
        ours.issue(&late, now)?.write(&self.set("agent-late"))?;
        self.issue("early", person("lan")?, ours, now.plus(30 * DAY))?;
        for (name, identity) in
            [("taken-back", person("lan")?), ("agent-taken-back", agent(OWN, "bad-1")?)]
        {
            let serial = self.issue(name, identity, ours, now)?;
            ours.revoke(&serial, Reason::KeyCompromise, "story", now)?;
        }
        let folder = self.machine.data().join("attack/strangers");
        fs::create_dir_all(folder.parent().context("a folder")?)?;
        let passphrase = Secret::new("correct horse battery".into());
        let theirs = Authority::init(&folder, Lifetimes::default(), &passphrase, "story", now)?;
        self.issue("stranger", person("lan")?, &theirs, now)?;
        self.issue("agent-stranger", agent(OWN, "web-1")?, &theirs, now)?;
        self.issue_by_a_leaf()
    }

    /// A certificate that an agent issued with its own, as if it were an authority.
    fn issue_by_a_leaf(&self) -> anyhow::Result<()> {
        let agent = self.set("web-1");
        let (pem, key) = (
            fs::read_to_string(agent.join("certificate.pem"))?,
            fs::read_to_string(agent.join("key.pem"))?,
        );
        let issuer = rcgen::Issuer::from_ca_cert_pem(&pem, rcgen::KeyPair::from_pem(&key)?)?;
        let mut params = rcgen::CertificateParams::default();
        let uri = "spiffe://vonggac/person/lan".try_into()?;
        params.subject_alt_names.push(rcgen::SanType::URI(uri));
        params.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ClientAuth);
        let own = rcgen::KeyPair::generate()?;
        let leaf = params.signed_by(&own, &issuer)?.pem();
        let folder = self.set("by-a-leaf");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("certificate.pem"), leaf + &pem)?;
        Ok(fs::write(folder.join("key.pem"), own.serialize_pem())?)
    }

    /// Enrolment is open, figures are told to who shows a certificate, and people have roles: the collector is started again.
    fn configure(&self) -> anyhow::Result<()> {
        let data = self.machine.data();
        let file = data.join("etc/collector.toml");
        let mut text = fs::read_to_string(&file)?;
        // Nothing else is attacked than what is started by `deploy/up`.
        ensure!(text.contains("signed = \"required\""), "seals are not required");
        text.push_str(&format!(
            "tls = true\n\n[trust.enrol]\nlisten = \"{}\"\nnames = [\"localhost\", \"127.0.0.1\"]\n",
            self.enrolment,
        ));
        let token = data.join("etc/bot-token");
        fs::write(&token, "1:token")?;
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600))?;
        text.push_str(&self.places.settings(&token.display().to_string()));
        fs::write(&file, text)?;
        OpenOptions::new()
            .append(true)
            .open(data.join("etc/roles.toml"))?
            .write_all(ROLES.as_bytes())?;
        fs::write(data.join("trust/collector/revoked.pem"), self.authority.revoked()?)?;
        self.machine.signal(Part::Collector, "KILL")?;
        let collector = self.machine.address("collector")?;
        self.wait_for("the collector's ports", STARTED_WITHIN, || {
            let open = |address: &str| TcpStream::connect(address).is_ok();
            Ok(open(&collector) && open(&self.enrolment) && !self.metrics()?.is_empty())
        })
    }

    /// Waits until something is so.
    pub(crate) fn wait(
        &self,
        what: &str,
        is_so: impl FnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        self.wait_for(what, WITHIN, is_so)
    }

    /// Waits so long until something is so.
    pub(crate) fn wait_for(
        &self,
        what: &str,
        within: Duration,
        mut is_so: impl FnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let now = is_so();
            if matches!(now, Ok(true)) {
                return Ok(());
            }
            ensure!(begun.elapsed() < within, "{what}: not within {within:?}; last: {now:?}");
            thread::sleep(Duration::from_millis(150));
        }
    }

    /// What OpenSSL meets at a port: all that it prints, and what it was sent.
    pub(crate) fn openssl(
        &self,
        address: &str,
        options: &[&str],
        asked: &[u8],
    ) -> anyhow::Result<String> {
        let mut child = Command::new("timeout")
            .args(["5", "openssl", "s_client", "-ign_eof", "-connect", address])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut input = child.stdin.take().context("no input")?;
        // Who is refused reads no more.
        let _refused = input.write_all(asked);
        drop(input);
        let output = child.wait_with_output()?;
        let both = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&both).into_owned())
    }

    /// OpenSSL's options for a set.
    pub(crate) fn shown(&self, name: &str) -> Vec<String> {
        let set = self.set(name);
        let path = |name: &str| set.join(name).display().to_string();
        let chain = path("certificate.pem");
        vec![
            "-cert".into(),
            chain.clone(),
            "-cert_chain".into(),
            chain,
            "-key".into(),
            path("key.pem"),
        ]
    }

    /// The collector's figures.
    pub(crate) fn metrics(&self) -> anyhow::Result<String> {
        let options = self.shown("person");
        let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
        options.push("-quiet");
        let asked = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let text = self.openssl(&self.machine.address("collector_metrics")?, &options, asked)?;
        ensure!(text.contains("HTTP/1.1 200"), "no figures: {text:.300}");
        Ok(text)
    }

    /// One figure: the sum of the rows that have all of these labels.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> anyhow::Result<f64> {
        let text = self.metrics()?;
        let rows = text.lines().filter(|line| {
            line.starts_with(name) && labels.iter().all(|label| line.contains(label))
        });
        Ok(rows.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Waits until a figure is higher than before.
    pub(crate) fn rises(&self, name: &str, labels: &[&str], before: f64) -> anyhow::Result<()> {
        self.wait(&format!("{name} {labels:?} rises"), || Ok(self.metric(name, labels)? > before))
    }

    /// A client of the console's service, with somebody's certificate.
    pub(crate) fn client(&self, name: &str) -> anyhow::Result<ConsoleClient<Channel>> {
        let current = Current::once(Files::of_set(&self.set(name)))?;
        let dial = Dial::new(Security::Tls(current));
        let address = self.machine.address("collector")?;
        let connector = tower::service_fn(move |uri: Uri| {
            let dial = dial.clone();
            async move {
                let (host, port) =
                    (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or_default());
                dial.connect(host, port).await.map(TokioIo::new)
            }
        });
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let channel = self.runtime.block_on(endpoint.connect_with_connector(connector))?;
        Ok(ConsoleClient::new(channel)
            .max_decoding_message_size(64 << 20)
            .max_encoding_message_size(64 << 20))
    }

    /// A client of Kafka; `None`: without a certificate.
    pub(crate) fn kafka(&self, name: Option<&str>) -> anyhow::Result<ClientConfig> {
        let path = |path: &Path| path.display().to_string();
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", self.machine.address("kafka")?)
            .set("security.protocol", "ssl")
            .set("ssl.ca.location", path(&self.set("agent").join("authorities.pem")))
            .set("message.timeout.ms", "8000")
            .set("message.max.bytes", "1000000000")
            .set("log_level", "0");
        if let Some(name) = name {
            let set = self.set(name);
            client
                .set("ssl.certificate.location", path(&set.join("certificate.pem")))
                .set("ssl.key.location", path(&set.join("key.pem")));
        }
        Ok(client)
    }

    /// Rows of a query, asked by the administrator.
    pub(crate) fn sql(&self, query: &str) -> anyhow::Result<Vec<serde_json::Value>> {
        self.machine.rows(&["sql", query])
    }

    /// The engine, as its own collector speaks with it.
    pub(crate) fn engine(&self) -> anyhow::Result<clickhouse::Client> {
        let password = fs::read_to_string(self.machine.data().join("trust/engine.key"))?;
        Ok(clickhouse::Client::default()
            .with_url(format!("http://{}", self.machine.address("engine")?))
            .with_user("vonggac")
            .with_password(password.trim())
            .with_database("vonggac")
            .with_setting("mutations_sync", "2"))
    }
}

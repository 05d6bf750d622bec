//! An agent, a person and a collector come to their certificates as people do it: an authority, a token, one command on the host, and renewals by
//! themselves.
//! Neither Kafka nor engine is there: whoever sets a centre up may begin with this.
#![expect(clippy::expect_used, reason = "a story stops where its ground is missing")]

use std::{
    fs,
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use system_tests::{
    machine::{is_built, program},
    running::{Running, free_port, text},
};

const SOON: Duration = Duration::from_secs(30);

/// As short as a life may be: an agent's certificate is renewed within the story.
const AGENT_VALID: &str = "60s";

struct Scene {
    folder: tempfile::TempDir,
    port: u16,
    _collector: Running,
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < 3 * SOON, "{what} did not come");
        thread::sleep(Duration::from_millis(200));
    }
}

impl Scene {
    fn set() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = || free_port().expect("a free port");
        let (port, grpc) = (port(), port());
        let at = |name: &str| folder.path().join(name);
        let configuration = format!(
            "plain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:9\"]\n[engine]\nurl = \"http://127.0.0.1:9\"\n[grpc]\nlisten = \"127.0.0.1:{grpc}\"\n[trust.pki]\ndir = \"{}\"\nagent_valid = \"{AGENT_VALID}\"\nperson_valid = \"{AGENT_VALID}\"\n[trust.enrol]\nlisten = \"127.0.0.1:{port}\"\nnames = [\"localhost\"]\n",
            at("pki").display()
        );
        fs::write(at("collector.toml"), configuration).expect("written");
        let made = Command::new(program("vonggac-collector"))
            .args(["pki", "init", "--config"])
            .arg(at("collector.toml"))
            .env("VONGGAC_ROOT_PASSPHRASE", "correct horse battery")
            .output()
            .expect("it runs");
        assert!(made.status.success(), "{}", text(&made));
        let log = fs::File::create(at("collector.log")).expect("a log");
        let child = Command::new(program("vonggac-collector"))
            .args(["serve", "--config"])
            .arg(at("collector.toml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("it runs");
        let scene = Self { folder, port, _collector: Running(child) };
        until("enrolment", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn collector(&self, words: &str) -> String {
        let output = Command::new(program("vonggac-collector"))
            .args(words.split(' '))
            .arg("--config")
            .arg(self.at("collector.toml"))
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{words}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn json(&self, words: &str) -> Vec<Value> {
        serde_json::from_str(&self.collector(&format!("{words} --format json"))).expect("JSON")
    }

    /// The configuration of an agent with a spool of its own.
    fn agent(&self, name: &str) -> PathBuf {
        let file = self.at(&format!("{name}.toml"));
        let configuration = format!(
            "agency = \"H49\"\nhost = \"{name}\"\nplain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:9\"]\n[spool]\ndir = \"{}\"\n[host_figures]\nenabled = false\n",
            self.at(name).display()
        );
        fs::write(&file, configuration).expect("written");
        file
    }

    /// A person's or a collector's certificate, by a program's `enrol`.
    fn enrol_into(&self, by: &str, set: &Path, token: &str) -> (bool, String) {
        let output = Command::new(program(by))
            .arg("enrol")
            .arg("--out")
            .arg(set)
            .env("VONGGAC_TOKEN", token)
            .env("VONGGAC_LANG", "en")
            .output()
            .expect("it runs");
        (output.status.success(), text(&output))
    }

    fn enrol(&self, name: &str, token: &str) -> (bool, String) {
        let output = Command::new(program("vonggac-agent"))
            .arg("enrol")
            .arg("--config")
            .arg(self.agent(name))
            .env("VONGGAC_TOKEN", token)
            .output()
            .expect("it runs");
        (output.status.success(), text(&output))
    }
}

/// What OpenSSL makes of a set.
fn openssl_takes(dir: &Path) -> (bool, String) {
    let words = "verify -x509_strict -crl_check_all -CAfile authorities.pem -CRLfile revoked.pem -untrusted certificate.pem certificate.pem";
    let output =
        Command::new("openssl").args(words.split(' ')).current_dir(dir).output().expect("openssl");
    (output.status.success(), text(&output))
}

#[test]
fn an_agent_comes_to_its_certificate_by_a_token_and_keeps_it_by_itself() {
    if !is_built() {
        return;
    }
    let scene = Scene::set();
    let token = scene.collector("token create --agency H49");
    assert!(token.ends_with(&format!(".https://localhost:{}", scene.port)), "{token}");
    let (enrolled, said) = scene.enrol("web-1", &token);
    assert!(enrolled && said.contains("spiffe://vonggac/agency/H49/agent/web-1-"), "{said}");
    let set = scene.at("web-1/tls");
    let (taken, said) = openssl_takes(&set);
    assert!(taken, "{said}");
    for key in ["key.pem", "signing.key.pem"] {
        assert!(is_for_its_owner_alone(&set.join(key)), "{key}");
    }

    tokens_that_let_nobody_in(&scene, &token);
    renewed_by_the_running_agent(&scene, &set);

    let identity = scene.json("pki status");
    let identity = identity.iter().find(|row| row["kind"] == "agent").expect("an agent");
    let identity = identity["name"].as_str().expect("its identity");
    scene.collector(&format!("pki revoke --identity {identity} --reason key-compromise --yes"));
    let rows = scene.json("pki status --all");
    let of_agent: Vec<_> = rows.iter().filter(|row| row["kind"] == "agent").collect();
    assert!(of_agent.len() >= 2 && of_agent.iter().all(|row| row["state"] != "good"), "{rows:?}");
    fs::copy(scene.at("pki/revoked.pem"), set.join("revoked.pem")).expect("the lists");
    let (taken, said) = openssl_takes(&set);
    assert!(!taken && said.contains("revoked"), "{said}");
}

fn is_for_its_owner_alone(key: &Path) -> bool {
    fs::metadata(key).expect("a key").permissions().mode() & 0o777 == 0o600
}

#[test]
fn persons_and_collectors_come_to_certificates_by_tokens_of_their_own() {
    if !is_built() {
        return;
    }
    let scene = Scene::set();
    let (person, collector) = (scene.at("lan"), scene.at("centre-2"));
    let of_agents = scene.collector("token create --agency H49");
    let of_lan = scene.collector("token create --person lan");
    let of_centre = scene.collector("token create --collector centre-2 --name centre-2.example");

    let refused = |by: &str, set: &Path, token: &str| {
        let (enrolled, said) = scene.enrol_into(by, set, token);
        assert!(!enrolled && said.contains("the token is for"), "{by}: {said}");
        assert!(!set.exists(), "{by} wrote something");
    };
    refused("vonggac", &person, &of_agents);
    refused("vonggac", &person, &of_centre);
    refused("vonggac-collector", &collector, &of_agents);
    refused("vonggac-collector", &collector, &of_lan);
    let (enrolled, said) = scene.enrol("web-3", &of_lan);
    assert!(!enrolled && said.contains("the token is for the person lan"), "{said}");

    let (enrolled, said) = scene.enrol_into("vonggac", &person, &of_lan);
    assert!(enrolled && said.contains("spiffe://vonggac/person/lan"), "{said}");
    assert!(said.contains("VONGGAC_CERTIFICATE"), "{said}");
    let (enrolled, said) = scene.enrol_into("vonggac-collector", &collector, &of_centre);
    assert!(enrolled && said.contains("spiffe://vonggac/collector/centre-2"), "{said}");
    assert!(said.contains("[tls]"), "{said}");
    for set in [&person, &collector] {
        let (taken, said) = openssl_takes(set);
        assert!(taken, "{said}");
        assert!(is_for_its_owner_alone(&set.join("key.pem")));
        assert!(!set.join("signing.key.pem").exists());
    }
    let (enrolled, said) = scene.enrol_into("vonggac", &scene.at("again"), &of_lan);
    assert!(!enrolled && said.contains("used up"), "{said}");

    renewed_when_it_is_used(&scene, &person);
}

/// A person's certificate is renewed by a command that is called for something else, here one that finds no collector.
fn renewed_when_it_is_used(scene: &Scene, set: &Path) {
    let before = fs::read_to_string(set.join("certificate.pem")).expect("a certificate");
    let look = || {
        let file = |name: &str| set.join(name);
        let output = Command::new(program("vonggac"))
            .args(["--collector", "https://localhost:9", "health"])
            .env("VONGGAC_CERTIFICATE", file("certificate.pem"))
            .env("VONGGAC_KEY", file("key.pem"))
            .env("VONGGAC_AUTHORITIES", file("authorities.pem"))
            .env("VONGGAC_LANG", "en")
            .output()
            .expect("it runs");
        text(&output)
    };
    until("a renewal", || {
        let said = look();
        assert!(!said.contains("due to be renewed"), "{said}");
        fs::read_to_string(set.join("certificate.pem")).expect("a certificate") != before
    });
    let (taken, said) = openssl_takes(set);
    assert!(taken, "{said}");
    let known = scene.json("pki status --all");
    assert!(known.iter().filter(|row| row["kind"] == "person").count() >= 2, "{known:?}");
}

fn tokens_that_let_nobody_in(scene: &Scene, used: &str) {
    let refused = |name: &str, token: &str, why: &str| {
        let (enrolled, said) = scene.enrol(name, token);
        assert!(!enrolled && said.contains(why), "{why}: {said}");
        assert!(!scene.at(name).join("tls/certificate.pem").exists(), "{why}");
    };
    refused("web-2", used, "used up");
    let guessed =
        used.replacen(&used[5..9], if &used[5..9] == "0000" { "1111" } else { "0000" }, 1);
    refused("web-2", &guessed, "is not known");
    let parts: Vec<&str> = used.splitn(4, '.').collect();
    let elsewhere = format!("vgt1.{}.{}.{}", parts[1], "0".repeat(64), parts[3]);
    refused("web-2", &elsewhere, "another fingerprint");
    refused("web-2", "vgt1.nonsense", "it is no token");
    let short = scene.collector("token create --agency H49 --valid 1s");
    thread::sleep(Duration::from_secs(3));
    refused("web-2", &short, "has ended");
    let revoked = scene.collector("token create --agency H49");
    let listed = scene.json("token list");
    let id = listed.last().expect("a token")["token"].as_str().expect("its name").to_owned();
    scene.collector(&format!("token revoke {id} --yes"));
    refused("web-2", &revoked, "was revoked");
    let states: Vec<_> = scene
        .json("token list")
        .iter()
        .map(|row| row["state"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(
        states.iter().flatten().collect::<Vec<_>>(),
        ["used up", "ended", "revoked"],
        "{states:?}"
    );
    // The fifth wrong one within a minute: from now on nobody of this address is listened to, not even with a good one.
    refused("web-2", &guessed, "is not known");
    let good = scene.collector("token create --agency H49");
    refused("web-2", &good, "too many wrong tokens");
}

fn renewed_by_the_running_agent(scene: &Scene, set: &Path) {
    let before = fs::read_to_string(set.join("certificate.pem")).expect("a certificate");
    let log = fs::File::create(scene.at("agent.log")).expect("a log");
    let child = Command::new(program("vonggac-agent"))
        .arg("run")
        .arg("--config")
        .arg(scene.at("web-1.toml"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("it runs");
    let _agent = Running(child);
    let told = || fs::read_to_string(scene.at("agent.log")).unwrap_or_default();
    until("a renewal", || told().contains("the certificate was renewed"));
    let after = fs::read_to_string(set.join("certificate.pem")).expect("a certificate");
    assert_ne!(before, after);
    let (taken, said) = openssl_takes(set);
    assert!(taken, "{said}");
}

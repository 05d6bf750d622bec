//! Who may do what on Kafka, by certificate: brokers and collectors everything, agents write events and read nothing.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use vonggac_wire::topic;

use super::{NODE, class_path};
use crate::{layout::Layout, trust::Sets};

/// That agents were given their rights, which Kafka keeps with its own records.
const GIVEN: &str = "kafka/rights";

/// The rest before rights are given again: Kafka may not have come up yet.
const REST: Duration = Duration::from_secs(1);

/// The kinds of a certificate's holder, as its subject says them: `CN=name,OU=kind,O=...`. Kafka sees nothing of a certificate but that.
const PRINCIPALS: &str = "RULE:^CN=[A-Za-z0-9._-]+,OU=broker,O=Vong Gac$/broker/,RULE:^CN=[A-Za-z0-9._-]+,OU=collector,O=Vong Gac$/collector/,RULE:^CN=[A-Za-z0-9._-]+,OU=agent,O=.*$/agent/,RULE:^.*$/nobody/";

/// Key and chain in one file, as Kafka wants them.
fn store(layout_etc: &Path) -> std::path::PathBuf {
    layout_etc.join("kafka.pem")
}

/// What makes the broker and its controller speak TLS and ask who may.
pub(super) fn properties(sets: &Sets) -> String {
    format!(
        "ssl.client.auth=required\n{}ssl.principal.mapping.rules={PRINCIPALS}\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:broker;User:collector\nallow.everyone.if.no.acl.found=false\n",
        stores(sets)
    )
}

fn stores(sets: &Sets) -> String {
    format!(
        "ssl.enabled.protocols=TLSv1.3\nssl.protocol=TLSv1.3\nssl.endpoint.identification.algorithm=https\n\
         ssl.keystore.type=PEM\nssl.keystore.location={}\nssl.truststore.type=PEM\nssl.truststore.location={}\n",
        store(&sets.etc).display(),
        sets.kafka.join("authorities.pem").display(),
    )
}

/// Writes the broker's store, and how the tools of Kafka speak to it.
pub(super) fn prepare(layout: &Layout, sets: &Sets) -> io::Result<()> {
    let read = |name: &str| fs::read_to_string(sets.kafka.join(name));
    let text = format!("{}{}", read("key.pem")?, read("certificate.pem")?);
    write_secret(&store(&sets.etc), &text)?;
    let text = format!("security.protocol=SSL\n{}", stores(sets));
    write_secret(&layout.path("etc/kafka-tools.properties"), &text)
}

/// Writes what its owner alone may read; never, not even for a moment, with another mode.
pub fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    if fresh.exists() {
        fs::remove_file(&fresh)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    fs::rename(fresh, path)
}

/// Whether this Kafka asks for rights.
#[must_use]
pub fn are_wanted(root: &Path) -> bool {
    fs::read_to_string(root.join("etc/kafka.properties"))
        .is_ok_and(|text| text.contains("authorizer.class.name"))
}

/// Writes the broker's store anew, and has the running broker read it: a listener's settings that are given again make it read the files that
/// they name. Its controller's listener is not reached by that.
///
/// # Errors
/// If the store cannot be written, or Kafka does not take it.
pub fn renew(layout: &Layout, sets: &Sets) -> io::Result<()> {
    prepare(layout, sets)?;
    if !crate::parts::answers(layout.address(0)) {
        return Err(io::Error::other("Kafka does not answer"));
    }
    let path = |path: &Path| path.display().to_string();
    let (keys, trusted) = (path(&store(&sets.etc)), path(&sets.kafka.join("authorities.pem")));
    let change = format!(
        "listener.name.ssl.ssl.keystore.type=PEM,listener.name.ssl.ssl.keystore.location={keys},\
         listener.name.ssl.ssl.truststore.type=PEM,listener.name.ssl.ssl.truststore.location={trusted}"
    );
    let mut command = tool(layout, "kafka.admin.ConfigCommand");
    command.args(["--entity-type", "brokers", "--entity-name", NODE, "--alter", "--add-config"]);
    done(command.arg(change))
}

/// One of Kafka's tools, as its administrator.
fn tool(layout: &Layout, class: &str) -> Command {
    let mut command = Command::new("java");
    command
        .args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", &class_path(), class])
        .arg("--bootstrap-server")
        .arg(layout.address(0).to_string())
        .arg("--command-config")
        .arg(layout.path("etc/kafka-tools.properties"));
    command
}

fn done(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    Err(io::Error::other(String::from_utf8_lossy(&said).trim().to_owned()))
}

/// Whether agents have their rights.
#[must_use]
pub fn are_given(root: &Path) -> bool {
    root.join(GIVEN).exists()
}

/// Gives agents their rights, once in the life of a folder; tries until Kafka has taken them.
pub fn give(layout: &Layout, stop: &CancellationToken) {
    if are_given(&layout.root) {
        return;
    }
    let (layout, stop) = (layout.clone(), stop.clone());
    thread::spawn(move || {
        while !stop.is_cancelled() {
            match given(&layout) {
                Ok(()) => return,
                Err(error) => tracing::info!(%error, "agents have no rights on Kafka yet"),
            }
            thread::sleep(REST);
        }
    });
}

fn given(layout: &Layout) -> io::Result<()> {
    if !crate::parts::answers(layout.address(0)) {
        return Err(io::Error::other("Kafka does not answer yet"));
    }
    let mut command = tool(layout, "org.apache.kafka.tools.AclCommand");
    command.args(["--add", "--allow-principal", "User:agent"]).args([
        "--operation",
        "Write",
        "--operation",
        "Describe",
    ]);
    for name in topic::EVENTS {
        command.args(["--topic", name]);
    }
    done(&mut command)?;
    tracing::info!("agents may write their topics on Kafka, and read none");
    fs::write(layout.path(GIVEN), "")
}

//! What each port takes of TLS, asked by OpenSSL from outside: version 1.3 alone, its suites, no compression, no renegotiation, no resumption,
//! certificates of the documented kind that are good for their names and for no others.

use std::process::{Command, Stdio};

use anyhow::ensure;

use super::{
    ground::Ground,
    tally::{Tally, says},
};

/// Ports of TLS, and whether it is Java that speaks there: its library issues tickets, which it does not take again without a certificate.
const PORTS: [(&str, bool); 4] =
    [("console", false), ("figures", false), ("enrolment", false), ("Kafka", true)];

const OLD: [(&str, &str); 3] = [("1.0", "-tls1"), ("1.1", "-tls1_1"), ("1.2", "-tls1_2")];

/// Everything that OpenSSL has, so that it is the port that refuses.
const WEAK: [&str; 2] = ["-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"];

/// The suites of version 1.3 that are taken.
const SUITES: [&str; 3] =
    ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"];

/// Those of its suites with a short tag, or for small devices.
const OTHER_SUITES: &str = "TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256";

impl Ground {
    fn port(&self, name: &str) -> anyhow::Result<String> {
        match name {
            "console" => self.machine.address("collector"),
            "figures" => self.machine.address("collector_metrics"),
            "Kafka" => self.machine.address("kafka"),
            _ => Ok(self.enrolment.clone()),
        }
    }

    /// A handshake, and nothing behind it.
    fn shake(&self, port: &str, options: &[&str]) -> anyhow::Result<String> {
        let set = if port == "Kafka" { "web-1" } else { "person" };
        let authorities = self.set("agent").join("authorities.pem").display().to_string();
        let output = Command::new("timeout")
            .args(["8", "openssl", "s_client", "-connect", &self.port(port)?])
            .args(["-CAfile", &authorities, "-verify_return_error"])
            .args(self.shown(set))
            .args(options)
            .stdin(Stdio::null())
            .output()?;
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}

fn is_refused(said: &str) -> anyhow::Result<()> {
    ensure!(
        said.contains("Cipher is (NONE)") || said.contains("no peer certificate available"),
        "it was not refused: {said:.600}"
    );
    says(said, &["alert"])
}

/// The handshake as it should be.
fn is_sound(said: &str, java: bool) -> anyhow::Result<()> {
    says(
        said,
        &[
            "Verification: OK",
            "New, TLSv1.3",
            // The key of the certificate, and that its signature is ECDSA on P-256.
            "Server public key is 256 bit",
            "Peer signature type: ECDSA",
            "Peer signing digest: SHA256",
            "Server Temp Key: X25519",
            "Compression: NONE",
            "Expansion: NONE",
            "Secure Renegotiation IS NOT supported",
            "Early data was not sent",
        ],
    )?;
    ensure!(SUITES.iter().any(|suite| said.contains(suite)), "by which suite? {said:.600}");
    ensure!(java || !said.contains("TLS session ticket:"), "it can be taken up again");
    Ok(())
}

fn is_for_names(ground: &Ground, port: &str) -> anyhow::Result<()> {
    for name in ["localhost", "other.example"] {
        let said = ground.shake(port, &["-verify_hostname", name])?;
        let taken = said.contains("Verification: OK");
        ensure!(taken == (name == "localhost"), "as {name}: {said:.600}");
        ensure!(
            taken || said.to_lowercase().contains("hostname mismatch"),
            "as {name}: {said:.600}"
        );
    }
    Ok(())
}

/// Tries all.
pub(crate) fn try_all(ground: &Ground, tally: &mut Tally) -> anyhow::Result<()> {
    for (port, java) in PORTS {
        for (version, option) in OLD {
            let said = ground.shake(port, &[&[option], &WEAK[..]].concat());
            tally.note(
                &format!("{port} does not speak TLS {version}"),
                said.and_then(|said| is_refused(&said)),
            );
        }
        let said = ground.shake(port, &["-tls1_3", "-ciphersuites", OTHER_SUITES]);
        tally.note(
            &format!("{port} takes no suite with a short tag"),
            said.and_then(|said| is_refused(&said)),
        );
        for suite in SUITES {
            let said = ground.shake(port, &["-tls1_3", "-ciphersuites", suite]);
            tally.note(
                &format!("{port} speaks {suite}"),
                said.and_then(|said| says(&said, &["Verification: OK", suite])),
            );
        }
        let said = ground.shake(port, &[]);
        tally.note(
            &format!("{port} shakes hands as documented"),
            said.and_then(|said| is_sound(&said, java)),
        );
        tally.note(
            &format!("{port} has a certificate for its own names alone"),
            is_for_names(ground, port),
        );
    }
    Ok(())
}

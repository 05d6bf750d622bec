//! A real mail server (aiosmtpd, Debian's python3-aiosmtpd) with a mailbox, and Python's own reading of what came.

use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde::Deserialize;

use crate::{
    machine::program,
    running::{Running, free_port},
};

/// Debian's own Python: another one has no aiosmtpd.
const PYTHON: &str = "/usr/bin/python3";

/// How long it may take until it listens.
const START_WITHIN: Duration = Duration::from_secs(20);

/// Prints all mails of a folder as JSON.
const READ: &str = "
import email, email.policy, json, pathlib, sys
mails = []
for path in sorted(pathlib.Path(sys.argv[1], 'new').glob('*')):
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    names = ['Subject', 'From', 'To', 'Bcc', 'Message-ID', 'X-Vonggac-TLP', 'Auto-Submitted']
    mails.append({'headers': {name.lower(): str(mail[name] or '') for name in names}, 'text': mail.get_content()})
print(json.dumps(mails))
";

/// Takes mail after STARTTLS and a log-in alone: port, certificate, key, mailbox, user, password.
const SERVE: &str = "
import ssl, sys, threading
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult
port, certificate, key, mailbox, user, password = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
known = (user.encode(), password.encode())
def judge(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == known, handled=False)
Controller(Mailbox(mailbox), hostname='127.0.0.1', port=int(port), tls_context=context, require_starttls=True,
    auth_required=True, auth_require_tls=True, authenticator=judge).start()
threading.Event().wait()
";

/// Who may send mail, and by which password.
pub const LOGIN: (&str, &str) = ("vonggac@centre.example", "mật khẩu thư");

/// A mail as it came.
#[derive(Clone, Debug, Deserialize)]
pub struct Mail {
    headers: std::collections::BTreeMap<String, String>,
    /// Its text.
    pub text: String,
}

impl Mail {
    /// A header, by its name in small letters; empty: there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// The server. It ends with its owner.
pub struct MailServer {
    child: Option<Running>,
    folder: tempfile::TempDir,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
}

impl MailServer {
    /// One that takes mail after STARTTLS and [`LOGIN`] alone, with a certificate for `localhost`. `None`: aiosmtpd is not installed, told loudly.
    ///
    /// # Errors
    /// If it does not listen.
    pub fn start() -> anyhow::Result<Option<Self>> {
        let there =
            Command::new(PYTHON).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: no aiosmtpd; apt-get install python3-aiosmtpd");
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()])?;
        fs::write(folder.path().join("certificate.pem"), made.cert.pem())?;
        fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem())?;
        let mut server = Self { child: None, folder, port: free_port()? };
        server.again()?;
        Ok(Some(server))
    }

    /// Starts it again, at the same place.
    ///
    /// # Errors
    /// If it does not listen.
    pub fn again(&mut self) -> anyhow::Result<()> {
        let child = Command::new(program("vonggac-single"))
            .args(["child", "--", PYTHON, "-c", SERVE])
            .arg(self.port.to_string())
            .arg(self.certificate())
            .arg(self.folder.path().join("key.pem"))
            .arg(self.mailbox())
            .args([LOGIN.0, LOGIN.1])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.child = Some(Running(child));
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            ensure!(begun.elapsed() < START_WITHIN, "the mail server does not listen");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.child = None;
    }

    /// Who vouches for it: itself.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    fn mailbox(&self) -> PathBuf {
        self.folder.path().join("mailbox")
    }

    /// All mails that came, in their order.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn mails(&self) -> anyhow::Result<Vec<Mail>> {
        let output = Command::new(PYTHON).args(["-c", READ]).arg(self.mailbox()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

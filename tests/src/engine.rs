//! The engine alone, for tests of the store.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use crate::machine::program;

/// How long the engine may take to come up.
const WITHIN: Duration = Duration::from_secs(60);

/// An engine in a folder; it ends with its owner.
pub struct Engine {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Engine {
    /// Starts one on a free port. `None`: it was not built, told loudly.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn start(folder: &Path) -> anyhow::Result<Option<Self>> {
        if !program("vonggac-single").exists() {
            eprintln!(
                "SKIPPED: no {}; build the programs first",
                program("vonggac-single").display()
            );
            return Ok(None);
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let told = fs::File::create(folder.join("engine.out"))?;
        let child = Command::new(program("vonggac-single"))
            .args(["engine", "--listen", &format!("127.0.0.1:{port}"), "--store"])
            .arg(folder.join("store"))
            .stdout(Stdio::null())
            .stderr(told)
            .spawn()?;
        let engine = Self { child, port, folder: folder.to_owned() };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > WITHIN {
                bail!(
                    "the engine does not listen: {}",
                    fs::read_to_string(folder.join("engine.out"))?
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(Some(engine))
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A client within a database.
    #[must_use]
    pub fn client(&self, database: &str) -> clickhouse::Client {
        clickhouse::Client::default().with_url(self.url()).with_database(database)
    }

    /// Writes a collector's configuration for a database of this engine, with more of it behind.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn configuration(&self, database: &str, more: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(format!("{database}.toml"));
        let text = format!(
            "plain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:9\"]\n[engine]\nurl = \"{}\"\ndatabase = \"{database}\"\n\
             [grpc]\nlisten = \"127.0.0.1:0\"\n{more}",
            self.url()
        );
        fs::write(&path, text).context("the configuration")?;
        Ok(path)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

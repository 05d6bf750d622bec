//! The engine alone, as tests and benches of the store need it.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use crate::machine::{is_built, program};

/// How long it may take until it listens.
const START_WITHIN: Duration = Duration::from_secs(60);

/// An engine of its own; it ends with its owner.
pub struct Engine {
    child: Option<Child>,
    folder: PathBuf,
    port: u16,
    settings: Option<PathBuf>,
}

impl Engine {
    /// Starts it over a folder. `None`: the programs are not built, told loudly.
    ///
    /// # Errors
    /// If it does not listen.
    pub fn start(folder: &Path) -> anyhow::Result<Option<Self>> {
        Self::start_with(folder, None)
    }

    /// The same with a settings file in the engine's own form.
    ///
    /// # Errors
    /// If it does not listen.
    pub fn start_with(folder: &Path, settings: Option<&str>) -> anyhow::Result<Option<Self>> {
        if !is_built() {
            return Ok(None);
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Self::start_at(folder, port, settings).map(Some)
    }

    /// The same at a port of its owner's choice: one that is kept for it while it is dead.
    ///
    /// # Errors
    /// If it does not listen.
    pub fn start_at(folder: &Path, port: u16, settings: Option<&str>) -> anyhow::Result<Self> {
        let settings = match settings {
            Some(text) => {
                let path = folder.join("engine.xml");
                fs::write(&path, text)?;
                Some(path)
            }
            None => None,
        };
        let mut engine = Self { child: None, folder: folder.to_owned(), port, settings };
        engine.again()?;
        Ok(engine)
    }

    /// Starts it again at the same place.
    ///
    /// # Errors
    /// If it does not listen.
    pub fn again(&mut self) -> anyhow::Result<()> {
        let settings = self.settings.iter().flat_map(|path| [Path::new("--settings"), path]);
        let child = Command::new(program("vonggac-single"))
            .args(["engine", "--listen", &format!("127.0.0.1:{}", self.port), "--store"])
            .arg(self.folder.join("store"))
            .args(settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.child = Some(child);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            ensure!(begun.elapsed() < START_WITHIN, "the engine does not listen");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill();
            let _waited = child.wait();
        }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Where it is asked.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same as an address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
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
    pub fn configuration_file(&self, database: &str, more: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(format!("{database}.toml"));
        fs::write(&path, format!("{}{more}", self.configuration(database)))
            .context("the configuration")?;
        Ok(path)
    }

    /// A collector's configuration for a database in it.
    #[must_use]
    pub fn configuration(&self, database: &str) -> String {
        format!(
            "plain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:9\"]\n[engine]\nurl = \"{}\"\ndatabase = \"{database}\"\n\
             [grpc]\nlisten = \"127.0.0.1:0\"\n",
            self.url()
        )
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}

//! Programs that bring a file's lines to Kafka, each as its makers' manual says for a server that must lose nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The topic of all but our own, which has three.
pub const TOPIC: &str = "bench.lines";

/// A program under measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shipper {
    /// `vonggac-agent`: parsed, redacted, spooled with fsync, sent in batches.
    Agent,
    /// rsyslog: imfile to omkafka, a queue on disk with a checkpoint for each record.
    Rsyslog,
    /// syslog-ng: a reliable disk buffer, synchronous sending.
    SyslogNg,
    /// kcat: no spool, no position, no parsing; the bare limit of librdkafka.
    Kcat,
}

/// Where it is put.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file it reads.
    pub log: PathBuf,
    /// A folder of its own.
    pub folder: PathBuf,
    /// Kafka.
    pub broker: String,
    /// Where our agent tells its metrics.
    pub metrics: String,
    /// Below which `rsyslogd`, `syslog-ng` and `kcat` were unpacked, with their libraries.
    pub rig: PathBuf,
}

impl Shipper {
    /// All of them, ours first.
    pub const ALL: [Self; 4] = [Self::Agent, Self::Rsyslog, Self::SyslogNg, Self::Kcat];

    /// As it stands in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "vonggac-agent",
            Self::Rsyslog => "rsyslog",
            Self::SyslogNg => "syslog-ng",
            Self::Kcat => "kcat",
        }
    }

    /// Whether it follows a file, as an agent does.
    #[must_use]
    pub const fn follows(self) -> bool {
        !matches!(self, Self::Kcat)
    }

    /// Starts it in the foreground.
    ///
    /// # Errors
    /// If its configuration cannot be written, or it is not there.
    pub fn start(self, place: &Place) -> io::Result<Child> {
        fs::create_dir_all(place.folder.join("spool"))?;
        let config = place.folder.join("config");
        let (program, arguments) = match self {
            Self::Agent => {
                fs::write(&config, agent(place))?;
                // As it is installed, where that was built.
                let packed = std::env::var_os("VONGGAC_AGENT").map(PathBuf::from);
                (
                    packed.unwrap_or_else(|| crate::machine::program("vonggac-agent")),
                    vec!["run".into(), "--config".into(), text(&config)],
                )
            }
            Self::Rsyslog => {
                fs::write(&config, rsyslog(place))?;
                let pid = place.folder.join("pid");
                let arguments = vec![
                    "-n".into(),
                    "-M".into(),
                    text(&place.rig.join("usr/lib/x86_64-linux-gnu/rsyslog")),
                    "-f".into(),
                    text(&config),
                    "-i".into(),
                    text(&pid),
                ];
                (place.rig.join("usr/sbin/rsyslogd"), arguments)
            }
            Self::SyslogNg => {
                fs::write(&config, syslog_ng(place))?;
                let own = |name: &str| text(&place.folder.join(name));
                let modules = place.rig.join("usr/lib/syslog-ng/3.38");
                let arguments = vec![
                    "--foreground".into(),
                    "--no-caps".into(),
                    format!("--cfgfile={}", text(&config)),
                    format!("--persist-file={}", own("persist")),
                    format!("--pidfile={}", own("pid")),
                    format!("--control={}", own("control")),
                    format!("--module-path={}", text(&modules)),
                ];
                (place.rig.join("usr/sbin/syslog-ng"), arguments)
            }
            Self::Kcat => {
                let arguments = [
                    "-P",
                    "-b",
                    &place.broker,
                    "-t",
                    TOPIC,
                    "-X",
                    "acks=all",
                    "-X",
                    "enable.idempotence=true",
                    "-l",
                    &text(&place.log),
                ];
                (place.rig.join("usr/bin/kcat"), arguments.map(str::to_owned).to_vec())
            }
        };
        let output = fs::File::create(place.folder.join("output"))?;
        let mut command = Command::new(program);
        if self != Self::Agent {
            command.env("LD_LIBRARY_PATH", libraries(&place.rig));
        }
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn libraries(rig: &Path) -> String {
    [
        "usr/lib/x86_64-linux-gnu",
        "lib/x86_64-linux-gnu",
        "usr/lib/syslog-ng",
        "usr/lib/syslog-ng/3.38",
    ]
    .map(|folder| text(&rig.join(folder)))
    .join(":")
}

fn agent(place: &Place) -> String {
    format!(
        "agency = \"local\"\nsystem = \"local-machine\"\nplain_text = true\n\n[kafka]\nbrokers = [\"{}\"]\n\n[spool]\ndir = \"{}\"\n\n\
         # The others have no ceiling either.\n[limits]\ncpu_percent_max = 100000\n\n[metrics]\nlisten = \"{}\"\n\n[[tail]]\npath = \"{}\"\nfrom = \"start\"\n",
        place.broker,
        text(&place.folder.join("spool")),
        place.metrics,
        text(&place.log),
    )
}

fn rsyslog(place: &Place) -> String {
    let modules = text(&place.rig.join("usr/lib/x86_64-linux-gnu/rsyslog"));
    let spool = text(&place.folder.join("spool"));
    format!(
        "global(workDirectory=\"{spool}\")\n\
         module(load=\"{modules}/imfile.so\" mode=\"inotify\")\nmodule(load=\"{modules}/omkafka.so\")\n\
         template(name=\"line\" type=\"string\" string=\"%msg%\")\n\
         input(type=\"imfile\" file=\"{log}\" tag=\"t:\" ruleset=\"ship\" persistStateInterval=\"1000\")\n\
         ruleset(name=\"ship\" queue.type=\"disk\" queue.fileName=\"q\" queue.checkpointInterval=\"1\" queue.maxDiskSpace=\"4g\" queue.size=\"2000000\") {{\n\
         action(type=\"omkafka\" broker=[\"{broker}\"] topic=\"{TOPIC}\" template=\"line\" errorFile=\"{spool}/errors\" \
         confParam=[\"acks=all\",\"enable.idempotence=true\"] resubmitOnFailure=\"on\" keepFailedMessages=\"on\" action.resumeRetryCount=\"-1\")\n}}\n",
        log = text(&place.log),
        broker = place.broker,
    )
}

fn syslog_ng(place: &Place) -> String {
    format!(
        "@version: 3.38\noptions {{ stats-freq(0); }};\n\
         source s {{ file(\"{log}\" flags(no-parse) follow-freq(0.1) log-fetch-limit(1000) log-iw-size(10000)); }};\n\
         destination d {{ kafka-c(bootstrap-servers(\"{broker}\") topic(\"{TOPIC}\") message(\"$MSG\") sync-send(yes) batch-lines(1000) \
         batch-timeout(100) config(acks(all)) disk-buffer(reliable(yes) disk-buf-size(4294967296) mem-buf-size(16777216) dir(\"{spool}\"))); }};\n\
         log {{ source(s); destination(d); flags(flow-control); }};\n",
        log = text(&place.log),
        broker = place.broker,
        spool = text(&place.folder.join("spool")),
    )
}

//! Three hundred probes in one agent: all of them come round, few run at once, and what they take is bounded.
#![expect(clippy::unwrap_used, reason = "a test stops where its ground is missing")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_util::sync::CancellationToken;
use vonggac_agent::{
    config::Config,
    intake::{self, Checkpoints},
    occurrence::Occurrences,
    source::{self, SourceContext},
};
use vonggac_wire::event::{Body, CheckOutcome};

const PROBES: usize = 300;

/// Of which so many ask a server that never answers.
const SILENT: usize = 60;

struct Nothing;

impl Checkpoints for Nothing {
    fn resume(&self, _: &str) -> Option<u64> {
        None
    }
    fn known(&self, _: &str) -> Vec<(String, u64)> {
        Vec::new()
    }
}

/// What a server saw.
#[derive(Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
}

/// Answers after a while, or never, and counts.
async fn server(load: Arc<Load>, answers: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let load = Arc::clone(&load);
            tokio::spawn(async move {
                load.all.fetch_add(1, Ordering::SeqCst);
                load.most.fetch_max(load.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let mut asked = [0; 1024];
                let _read = stream.read(&mut asked).await;
                if answers {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                    let _told = stream.write_all(answer).await;
                }
                // Until the other side goes.
                while stream.read(&mut asked).await.is_ok_and(|read| read > 0) {}
                load.now.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_probes_come_round_although_sixty_of_them_hang() {
    let (good, silent) = (Arc::<Load>::default(), Arc::<Load>::default());
    let (up, never) =
        (server(Arc::clone(&good), true).await, server(Arc::clone(&silent), false).await);
    let mut text = "agency = \"H49\"\nplain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:9\"]\n[spool]\ndir = \"/x\"\n[host_figures]\nenabled = false\n[journal]\nenabled = false\n".to_owned();
    for n in 0..PROBES {
        let port = if n < SILENT { never } else { up };
        write!(
            text,
            "[[probe]]\nname = \"p{n}\"\ntarget = \"http://127.0.0.1:{port}/\"\ninterval = \"4s\"\njitter = \"2s\"\ntimeout = \"1s\"\n"
        )
        .unwrap();
    }
    let config = Config::from_text(Path::new("a.toml"), &text).unwrap();
    let mut sources = source::build(&config);
    assert_eq!(sources.len(), 1);
    let (intake, mut chunks) = intake::queue();
    let stop = CancellationToken::new();
    let running = tokio::spawn(sources.remove(0).run(SourceContext {
        intake,
        checkpoints: Arc::new(Nothing),
        shutdown: stop.clone(),
        occurrences: Occurrences::new().unwrap(),
    }));
    let before = open_files();
    let mut found: BTreeMap<String, Vec<CheckOutcome>> = BTreeMap::new();
    let mut most_open = 0;
    // Until each has come round three times.
    let collecting = async {
        while found.len() < PROBES || found.values().any(|checks| checks.len() < 3) {
            let chunk = chunks.recv_packed().await.unwrap();
            most_open = most_open.max(open_files());
            for event in chunk.events() {
                let event = event.unwrap();
                let Body::Check(check) = event.body() else { continue };
                found.entry(check.name.clone()).or_default().push(check.outcome());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), collecting).await.unwrap();
    stop.cancel();
    while chunks.recv_packed().await.is_some() {}
    running.await.unwrap().unwrap();
    for (name, checks) in &found {
        let wanted = if name[1..].parse::<usize>().unwrap() < SILENT {
            CheckOutcome::Down
        } else {
            CheckOutcome::Up
        };
        assert!(checks.iter().all(|outcome| *outcome == wanted), "{name}: {checks:?}");
        // A probe that hangs comes round sooner once; none of the others is starved by it.
        assert!(checks.len() <= 8, "{name} ran {} times while others ran 3", checks.len());
    }
    let most = good.most.load(Ordering::SeqCst).max(silent.most.load(Ordering::SeqCst));
    assert!(most <= 128, "{most} at once");
    assert!(good.all.load(Ordering::SeqCst) >= (PROBES - SILENT) * 3);
    // Both ends of each connection are in this process.
    assert!(most_open <= before + 2 * 2 * 128, "{most_open} open files");
    let begun = std::time::Instant::now();
    while good.now.load(Ordering::SeqCst) + silent.now.load(Ordering::SeqCst) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "connections are left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

use tokio_util::sync::CancellationToken;
use unicode_normalization::UnicodeNormalization;
use vonggac_wire::{Lane, Time};

use super::{
    waiting::{QUIET, WHOLE_WAIT},
    *,
};
use crate::{config::Fsync, intake, occurrence::Occurrences, ship::SharedSpool, spool::Spool};

fn age(path: &Path) {
    let then = SystemTime::now() - Duration::from_secs(10);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

/// Takes what lies in the folder; gives how many events the spool holds then.
async fn taken(config: &UsageDropConfig, spool: &SharedSpool) -> usize {
    let (intake, mut chunks) = intake::queue();
    let stop = CancellationToken::new();
    let context = SourceContext {
        intake,
        checkpoints: Arc::new(spool.clone()),
        shutdown: stop.clone(),
        occurrences: Occurrences::new().unwrap(),
    };
    let source = tokio::spawn(UsageDrop::new(config.clone()).run(context));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(600) {
        let wait = tokio::time::timeout(Duration::from_millis(300), chunks.recv()).await;
        if let Ok(Some(chunk)) = wait {
            let done = spool.lock().append(chunk.entries, &chunk.passed, Time::now()).unwrap();
            let _told = chunk.appended.unwrap().send(done);
        }
    }
    stop.cancel();
    let _ended = source.await;
    let mut spool = spool.lock();
    spool.rewind(Lane::Usage);
    spool.next(Lane::Usage, 1_000, 1 << 20).unwrap().map_or(0, |pending| pending.events.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_files_are_taken_once_and_their_mistakes_told_line_by_line() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("drop");
    fs::create_dir(&folder).unwrap();
    let spool = Spool::open(&dir.path().join("spool"), "h", 1 << 30, Fsync::EachChunk, Time::now());
    let spool = SharedSpool::new(spool.unwrap());
    let config = UsageDropConfig {
        folder: folder.clone(),
        system: "old-portal".into(),
        columns: vec![("Bước".into(), "step".into()), ("Dịch vụ".into(), "service".into())],
        fields: vec![("kind".into(), "dossier".into())],
        keep: Duration::from_secs(86_400),
    };
    let table = "\u{feff}Bước;Dịch vụ;online;time\nreceived;khai-sinh;có;24/11/2026 09:41\neaten;x;có;\nclosed;\"a;\nb\";x\nreceived;y;không;24/11/2026\n";
    fs::write(folder.join("a.csv"), table).unwrap();
    fs::write(
        folder.join("b.json"),
        "[{\"kind\":\"rating\",\"score\":5},\n\n{\"kind\":\"rating\",\"score\":7}]",
    )
    .unwrap();
    fs::write(
        folder.join("c.jsonl"),
        format!("{}\n{{\"kind\":\"rating\",\"score\":1}}\n", "x".repeat(70_000)),
    )
    .unwrap();
    fs::write(folder.join("d.txt"), "not ours").unwrap();
    fs::write(folder.join("e.csv"), "still being written").unwrap();
    for name in ["a.csv", "b.json", "c.jsonl", "d.txt"] {
        age(&folder.join(name));
    }
    assert_eq!(taken(&config, &spool).await, 4);
    let errors = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let told = errors("a.csv.errors");
    let told: Vec<&str> = told.lines().collect();
    assert!(told[0].starts_with("line 3: `step` is eaten"), "{told:?}");
    assert!(told[1].starts_with("line 4: the row has 3 cells, the head 4"), "{told:?}");
    assert_eq!(told.len(), 2);
    assert!(errors("b.json.errors").starts_with("line 3: `score`"));
    assert!(errors("c.jsonl.errors").starts_with("line 1: it is longer than"));
    assert!(folder.join("a.csv.taken").exists() && !folder.join("a.csv").exists());
    assert!(folder.join("d.txt").exists() && folder.join("e.csv").exists());
    // The same file again, under another name: nothing is counted twice.
    fs::write(folder.join("again.csv"), table).unwrap();
    age(&folder.join("again.csv"));
    assert_eq!(taken(&config, &spool).await, 4);
    assert!(folder.join("again.csv.taken").exists());
}

struct Dropping {
    _dir: tempfile::TempDir,
    folder: PathBuf,
    spool: SharedSpool,
    config: UsageDropConfig,
}

fn dropping() -> Dropping {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("drop");
    fs::create_dir(&folder).unwrap();
    let spool = Spool::open(&dir.path().join("spool"), "h", 1 << 30, Fsync::EachChunk, Time::now());
    let config = UsageDropConfig {
        folder: folder.clone(),
        system: "old".into(),
        columns: Vec::new(),
        fields: vec![("kind".into(), "rating".into())],
        keep: Duration::from_secs(86_400),
    };
    Dropping { _dir: dir, folder, spool: SharedSpool::new(spool.unwrap()), config }
}

impl Dropping {
    fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.folder.join(name), text).unwrap();
        age(&self.folder.join(name));
    }

    async fn taken(&self) -> usize {
        taken(&self.config, &self.spool).await
    }

    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }
}

#[test]
fn a_file_from_the_future_rests_by_our_own_clock() {
    let ahead = SystemTime::now() + Duration::from_secs(86_400);
    let (seen, now) = (Seen { modified: ahead, bytes: 1, inode: 1 }, Instant::now());
    let mut file = Waiting::new(seen, now);
    let path = Path::new("/nowhere/a.csv");
    assert!(!file.is_ready(path, now) && file.is_ready(path, now + QUIET));
    // A clock that was set back by a year while the file lay there is the same.
    let clock = SystemTime::now() - Duration::from_secs(365 * 86_400);
    assert_eq!(file.rested(now + QUIET, clock), QUIET);
}

#[test]
fn a_file_that_ends_in_the_middle_is_given_time_to_become_whole() {
    let dropping = dropping();
    let now = Instant::now();
    for (name, text, whole) in [
        ("a.csv", "score\n4\n", true),
        ("b.csv", "score\n4", false),
        ("c.json", "[{\"kind\":\"rating\"", false),
        ("d.json", "[{}]", true),
        ("e.jsonl", "{}\n{\"kin", false),
        ("f.csv", "", true),
    ] {
        dropping.put(name, text);
        let path = dropping.folder.join(name);
        let seen = Seen::of(&fs::metadata(&path).unwrap()).unwrap();
        let mut file = Waiting::new(seen, now);
        assert_eq!(file.is_ready(&path, now), whole, "{name}");
        assert!(file.is_ready(&path, now + WHOLE_WAIT), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_before_is_kept_and_a_corrected_file_takes_its_errors_back() {
    let dropping = dropping();
    dropping.put("a.csv", "score\n4\nmany\n");
    assert_eq!(dropping.taken().await, 1);
    assert!(dropping.text("a.csv.errors").unwrap().starts_with("line 3: `score`"));
    dropping.put("a.csv", "score\n4\n5\n");
    assert_eq!(dropping.taken().await, 3, "another content is another file");
    assert_eq!(dropping.text("a.csv.errors"), None);
    assert_eq!(dropping.text("a.csv.taken").unwrap(), "score\n4\nmany\n");
    assert_eq!(dropping.text("a.csv.2.taken").unwrap(), "score\n4\n5\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_read_as_old_programs_write_them() {
    let dropping = dropping();
    // A separator that is named, quotes over lines, line ends of Windows, a quote without end; the true lines are told.
    dropping.put(
        "a.csv",
        "sep=;\r\nscore;service\r\n\r\n4;\"khai\r\nsinh\"\r\n9;x\r\n\"5;y\r\n5;z\r\n",
    );
    let wide: Vec<u8> =
        "\u{feff}score\tservice\n3\tĐăng ký\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    dropping.put("b.csv", wide);
    dropping.put("c.csv", b"score,service\n2,B\xfd\xecc\n");
    dropping.put("d.csv", b"score,service\n2,c\xc3\xb3\n1,c\xf3\n");
    dropping.put("e.jsonl", "\n\n{\"kind\":\"rating\",\"score\":1}\n\nnot\n");
    let stored = dropping.taken().await;
    let told = |name: &str| dropping.text(&format!("{name}.errors"));
    assert_eq!(stored, 6, "{:?}", ["a.csv", "b.csv", "c.csv", "d.csv", "e.jsonl"].map(told));
    let errors = dropping.text("a.csv.errors").unwrap();
    let told: Vec<&str> = errors.lines().collect();
    assert!(told[0].starts_with("line 6: `score`"), "{errors}");
    assert!(told[1].starts_with("line 7: a quote is opened"), "{errors}");
    assert_eq!(dropping.text("b.csv.errors"), None);
    assert!(dropping.text("d.csv.errors").unwrap().starts_with("line 3: it is no UTF-8"));
    assert!(dropping.text("e.jsonl.errors").unwrap().starts_with("line 5: "));
    let mut spool = dropping.spool.lock();
    spool.rewind(Lane::Usage);
    let events = spool.next(Lane::Usage, 100, 1 << 20).unwrap().unwrap().events;
    let services: Vec<&str> = events
        .iter()
        .map(|event| match event.body() {
            vonggac_wire::event::Body::Rating(rating) => rating.service.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        services,
        [
            "khai\nsinh",
            "z",
            "Đăng ký",
            "B\u{1b0}\u{301}c".nfc().collect::<String>().as_str(),
            "có",
            ""
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grows_while_it_is_read_is_taken_once_and_whole() {
    let dropping = dropping();
    dropping.put("a.csv", "score\n4\n5\n");
    let path = dropping.folder.join("a.csv");
    let seen = Seen::of(&fs::metadata(&path).unwrap()).unwrap();
    let mut waiting = Waiting::new(seen, Instant::now());
    // What the first reading began, as it is remembered when the file has grown.
    let mut file = File::open(&path).unwrap();
    waiting.begun = Some(format!("drop:{}", fingerprint(&mut file).unwrap()).into());
    assert_eq!(dropping.taken().await, 2);
    fs::rename(dropping.folder.join("a.csv.taken"), &path).unwrap();
    File::options().append(true).open(&path).unwrap().write_all(b"3\n").unwrap();
    let (intake, mut chunks) = intake::queue();
    let context = SourceContext {
        intake,
        checkpoints: Arc::new(dropping.spool.clone()),
        shutdown: CancellationToken::new(),
        occurrences: Occurrences::new().unwrap(),
    };
    let (spool, config) = (dropping.spool.clone(), dropping.config.clone());
    let appending = tokio::spawn(async move {
        let mut written = 0;
        while let Some(chunk) = chunks.recv().await {
            let done = spool.lock().append(chunk.entries, &[], Time::now()).unwrap();
            written += done.written;
            let _told = chunk.appended.unwrap().send(done);
        }
        written
    });
    tokio::task::spawn_blocking(move || {
        assert!(take(&path, &mut waiting, &config, &context).is_ok_and(|whole| whole));
    })
    .await
    .unwrap();
    assert_eq!(appending.await.unwrap(), 1, "the two that were there are known");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_pipes_and_names_that_point_elsewhere_harm_nobody() {
    let dropping = dropping();
    let outside = dropping.folder.parent().unwrap().join("outside");
    fs::write(&outside, "precious").unwrap();
    let link = |name: &str| {
        std::os::unix::fs::symlink(&outside, dropping.folder.join(name)).unwrap();
    };
    link("a.csv");
    link("b.csv.errors.new");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let fifo = dropping.folder.join("c.csv");
    rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    dropping.put("b.csv", "score\nno\n");
    assert_eq!(dropping.taken().await, 0);
    assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
    assert!(dropping.text("b.csv.errors").unwrap().starts_with("line 2"));
}

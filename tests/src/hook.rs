//! A place that takes webhooks, and fails on purpose in the ways in which others do.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde_json::Value;

/// How long a caller may be silent before its request counts as cut.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

/// What it does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It takes it.
    Take,
    /// It answers with this status and these headers, each with its line's end.
    Status(u16, String),
    /// It says nothing for so long, and closes.
    Hang(Duration),
    /// It closes in the middle of its answer.
    CloseMidway,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Its first lines.
    pub head: String,
    /// Its body.
    pub body: Value,
    /// What was done with it.
    pub answer: Answer,
}

impl Heard {
    /// A header, by its name in small letters; empty: there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let begins = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&begins)).unwrap_or_default()
    }

    /// Whether its sender was told that it was taken.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.answer == Answer::Take
    }
}

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    /// What it does when those are used up.
    usual: Option<Answer>,
    heard: Vec<Heard>,
}

/// The place. Its threads end with the story.
pub struct Hook {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Hook {
    /// One that does these things with its first requests, and takes the others.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start(answers: impl IntoIterator<Item = Answer>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = State { answers: answers.into_iter().collect(), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || {
                    let _gone = serve(stream, &state);
                });
            }
        });
        Ok(Self { address, state })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What it does from now on.
    pub fn always(&self, answer: Answer) {
        lock(&self.state).usual = Some(answer);
    }

    /// What came so far.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        lock(&self.state).heard.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) -> anyhow::Result<()> {
    stream.set_read_timeout(Some(HEARD_WITHIN))?;
    let (head, body) = request(&mut stream)?;
    let answer = {
        let mut state = lock(state);
        let usual = state.usual.clone().unwrap_or(Answer::Take);
        let answer = state.answers.pop_front().unwrap_or(usual);
        state.heard.push(Heard { head, body, answer: answer.clone() });
        answer
    };
    match answer {
        Answer::Take => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?,
        Answer::Status(status, headers) => {
            let text = format!("HTTP/1.1 {status} No\r\n{headers}content-length: 0\r\n\r\n");
            stream.write_all(text.as_bytes())?;
        }
        Answer::Hang(span) => thread::sleep(span),
        Answer::CloseMidway => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-len")?,
    }
    Ok(())
}

/// Head and body of one request.
fn request(stream: &mut TcpStream) -> anyhow::Result<(String, Value)> {
    let (mut bytes, mut all) = ([0; 4_096], Vec::new());
    loop {
        let read = stream.read(&mut bytes)?;
        anyhow::ensure!(read > 0, "the request was cut");
        all.extend(bytes.iter().take(read));
        let text = String::from_utf8_lossy(&all);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        // A JSON document says itself where it ends.
        if let Ok(body) = serde_json::from_str(body) {
            return Ok((head.to_owned(), body));
        }
    }
}

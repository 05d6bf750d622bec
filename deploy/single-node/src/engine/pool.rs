//! A few connections to the engine, each with a thread of its own. Work waits in one bounded queue; the order to stop what runs, and the
//! question what runs, have a connection of their own, so that they are heard when all others are taken.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use tokio::sync::oneshot;

use super::{
    library::{Answer, Engine, EngineError, Session},
    statement::{Statement, Work},
};

/// Connections: one writer, a few readers, and a slow search must not hold up the board.
const CONNECTIONS_MAX: usize = 6;

/// Statements that may wait. Beyond it the front answers 503, and the client tries again.
const WAITING_MAX: usize = 64;

/// Questions until nothing is left of a refused statement: one takes it, one more shows that it is gone.
const CLEANINGS_MAX: usize = 4;

struct Job {
    statement: Statement,
    answer: oneshot::Sender<Result<Answer, EngineError>>,
}

/// The pool's front.
#[derive(Clone)]
pub struct Pool {
    jobs: mpsc::SyncSender<Job>,
    orders: mpsc::SyncSender<Job>,
}

/// Why a statement was not run.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// Too many wait.
    #[error("{WAITING_MAX} statements are waiting; try again")]
    Full,
    /// The engine said no.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The threads are gone.
    #[error("the engine has stopped")]
    Stopped,
}

impl Pool {
    /// Loads the engine and opens its connections, with a settings file of its own where one is named; blocks for about a second.
    ///
    /// # Errors
    /// If the library or the folder cannot be opened.
    pub fn open(
        library: &Path,
        store: &Path,
        settings: Option<&Path>,
    ) -> Result<Self, EngineError> {
        let engine: &'static Engine = Box::leak(Box::new(Engine::load(library)?));
        let (jobs, waiting) = mpsc::sync_channel::<Job>(WAITING_MAX);
        let (orders, ordered) = mpsc::sync_channel::<Job>(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let mut sessions = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            sessions.push(engine.connect(store, settings)?);
        }
        let of_orders = engine.connect(store, settings)?;
        for session in sessions {
            let waiting = Arc::clone(&waiting);
            thread::spawn(move || work(session, &waiting));
        }
        thread::spawn(move || work(of_orders, &Mutex::new(ordered)));
        Ok(Self { jobs, orders })
    }

    /// Runs a statement on the next free connection.
    ///
    /// # Errors
    /// If the queue is full, or the engine refuses it.
    pub async fn run(&self, statement: Statement) -> Result<Answer, PoolError> {
        let (answer, answered) = oneshot::channel();
        let queue = if statement.is_order() { &self.orders } else { &self.jobs };
        queue.try_send(Job { statement, answer }).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => PoolError::Full,
            mpsc::TrySendError::Disconnected(_) => PoolError::Stopped,
        })?;
        Ok(answered.await.map_err(|_| PoolError::Stopped)??)
    }
}

fn work(mut session: Session<'static>, waiting: &Mutex<mpsc::Receiver<Job>>) {
    let mut database = String::from("default");
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { statement, answer }) = job else { return };
        let outcome = run(&mut session, &mut database, statement);
        let refused = outcome.is_err();
        if answer.send(outcome).is_err() {
            tracing::debug!("a client left before its answer");
        }
        if refused {
            clean(&mut session);
        }
    }
}

/// What a statement had written before it was stopped stays with the connection, and would stand before the next answer.
fn clean(session: &mut Session<'_>) {
    for _ in 0..CLEANINGS_MAX {
        match session.query("SELECT 1", "TabSeparated", &[]) {
            Ok(answer) if answer.body == b"1\n" => return,
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a connection was not cleaned at once"),
        }
    }
    tracing::error!("a connection of the engine keeps what a refused statement left");
}

fn run(
    session: &mut Session<'_>,
    current: &mut String,
    statement: Statement,
) -> Result<Answer, EngineError> {
    if let Some(database) = statement.database.filter(|database| database != current) {
        let quoted = database.replace('\\', "\\\\").replace('`', "\\`");
        session.query(&format!("USE `{quoted}`"), "TabSeparated", &[])?;
        *current = database;
    }
    match statement.work {
        Work::Query { text, format, parameters } => session.query(&text, &format, &parameters),
        Work::Insert { text, format, body } => session.insert(&text, &format, &body),
    }
}

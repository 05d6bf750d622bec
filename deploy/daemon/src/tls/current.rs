//! What the files hold now.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Files, Loaded, TlsError,
    load::{Contents, load},
};

/// How often the files are looked at: a revocation shall have its effect within a minute.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);

/// The files of a program, and what they hold now. Cloning shares it.
#[derive(Clone)]
pub struct Current {
    files: Files,
    now: watch::Receiver<Arc<Loaded>>,
}

impl Current {
    /// Reads the files, and reads them again whenever they change, until `stop`. A change that cannot be used (half of a renewal, say)
    /// is told, and what was there before stays.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn follow(files: Files, stop: CancellationToken) -> Result<Self, TlsError> {
        Self::follow_every(files, LOOKED_AT_EVERY, stop)
    }

    /// The same, with another interval.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn follow_every(
        files: Files,
        interval: Duration,
        stop: CancellationToken,
    ) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let loaded = load(&files, &contents)?;
        let (told, now) = watch::channel(Arc::new(loaded));
        tokio::spawn(look(files.clone(), contents, interval, told, stop));
        Ok(Self { files, now })
    }

    /// Reads the files once: for a program that ends soon.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn once(files: Files) -> Result<Self, TlsError> {
        let loaded = load(&files, &Contents::read(&files)?)?;
        let (_, now) = watch::channel(Arc::new(loaded));
        Ok(Self { files, now })
    }

    /// What the files hold.
    #[must_use]
    pub fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.now.borrow())
    }

    /// Where they lie.
    #[must_use]
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// Tells of each change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<Loaded>> {
        self.now.clone()
    }
}

async fn look(
    files: Files,
    mut contents: Contents,
    interval: Duration,
    told: watch::Sender<Arc<Loaded>>,
    stop: CancellationToken,
) {
    let mut trouble: Option<String> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = told.closed() => return,
            () = tokio::time::sleep(interval) => {}
        }
        // A few small files: read where they are, every few seconds.
        let read = Contents::read(&files);
        let loaded = match read {
            Ok(now) if now == contents => {
                trouble = None;
                continue;
            }
            Ok(now) => load(&files, &now).map(|loaded| (now, loaded)),
            Err(error) => Err(error),
        };
        match loaded {
            Ok((now, loaded)) => {
                tracing::info!(serial = %loaded.own.serial, "certificates were read again");
                contents = now;
                trouble = None;
                told.send_replace(Arc::new(loaded));
            }
            Err(error) => {
                let text = chain(&error);
                if trouble.as_ref() != Some(&text) {
                    tracing::warn!("failed to {text}; the certificates of before stay in use");
                    trouble = Some(text);
                }
            }
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

//! Tells whoever reads its certificate only when it is made that there is another one: librdkafka takes its files when a client is made, and
//! has no way to take others later. So its clients are made anew.

use std::{
    fmt::Display,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{Loaded, listen::Security};

/// How soon it is tried again where the files could not be used: half of a renewal is whole within moments.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Our own certificate as one user of it knows it. Lists and authorities may change without a word from here.
#[derive(Clone, Debug)]
pub struct Renewals {
    now: Option<watch::Receiver<Arc<Loaded>>>,
    used: String,
    tried: Option<Instant>,
}

impl Renewals {
    /// Those of a program; in plain text there are none. What is there now counts as used.
    #[must_use]
    pub fn of(security: &Security) -> Self {
        match security {
            Security::PlainText => Self::none(),
            Security::Tls(current) => {
                let used = current.loaded().own.serial.clone();
                Self { now: Some(current.changes()), used, tried: None }
            }
        }
    }

    /// Never any.
    #[must_use]
    pub const fn none() -> Self {
        Self { now: None, used: String::new(), tried: None }
    }

    fn other(&self) -> Option<String> {
        let serial = &self.now.as_ref()?.borrow().own.serial;
        (*serial != self.used).then(|| serial.clone())
    }

    /// Makes something anew if it uses a certificate of before; `None`: there is no other, or it cannot be used yet, and what there is stays.
    pub fn renew<T, E: Display>(
        &mut self,
        what: &'static str,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Option<T> {
        let serial = self.other()?;
        if self.tried.is_some_and(|tried| tried.elapsed() < TRIED_AGAIN_AFTER) {
            return None;
        }
        self.tried = Some(Instant::now());
        match make() {
            Ok(made) => {
                tracing::info!(what, serial, "Kafka is spoken to by a renewed certificate");
                self.used = serial;
                self.tried = None;
                Some(made)
            }
            Err(error) => {
                tracing::warn!(what, %error, "a renewed certificate cannot be used yet; the one of before is");
                None
            }
        }
    }

    /// Waits until there is another certificate than the one that is used; for ever, where none comes.
    pub async fn come(&mut self) {
        loop {
            if self.other().is_some() {
                return;
            }
            let ended = match &mut self.now {
                Some(now) => now.changed().await.is_err(),
                None => true,
            };
            if ended {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::tls::{
        Current,
        made::{Authority, Says, set, write},
    };

    #[tokio::test]
    async fn what_was_made_with_a_certificate_is_made_anew_with_the_next_and_stays_where_that_fails()
     {
        let authority = Authority::new("centre");
        let pair = |serial| authority.issue(&Says { serial, ..Says::default() });
        let (folder, files) = set(&pair(7), &authority.pem, &authority.list(&[]));
        let stop = CancellationToken::new();
        let every = Duration::from_millis(20);
        let current = Current::follow_every(files, every, stop.clone()).unwrap();
        let mut renewals = Renewals::of(&Security::Tls(current.clone()));
        assert_eq!(renewals.renew("it", || Ok::<_, String>(1)), None, "nothing is new");

        // Another list alone changes nothing.
        let mut changes = current.changes();
        std::fs::write(folder.path().join("revoked.pem"), authority.list(&[1])).unwrap();
        tokio::time::timeout(Duration::from_secs(10), changes.changed()).await.unwrap().unwrap();
        assert_eq!(renewals.renew("it", || Ok::<_, String>(1)), None);

        write(folder.path(), &pair(8), &authority.pem, &authority.list(&[]));
        tokio::time::timeout(Duration::from_secs(10), renewals.come()).await.unwrap();
        assert_eq!(renewals.renew("it", || Err::<i32, _>("half of it")), None);
        assert_eq!(renewals.renew("it", || Ok::<_, String>(2)), None, "not at once");
        renewals.tried = None;
        assert_eq!(renewals.renew("it", || Ok::<_, String>(3)), Some(3));
        assert_eq!(renewals.renew("it", || Ok::<_, String>(4)), None, "once for each");
        stop.cancel();
    }
}

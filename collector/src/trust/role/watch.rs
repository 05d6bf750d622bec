//! The roles as they are now: the file is looked at again and again, and what it says holds from the next call and the next reply on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vonggac_daemon::settings::{SettingsError, Table};

use super::{Grant, RoleBook};

/// How often the file is looked at: whoever is taken out of it is out within a breath.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Bytes of the file that are read: several times what [`super::PEOPLE_MAX`] people take.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The file that `[trust] roles` names. What is wrong in it is a mistake of the configuration.
pub fn take(trust: &mut Table<'_>) -> Option<PathBuf> {
    let roles = trust.path("roles");
    if let Some(Err(error)) = roles.as_deref().map(RoleBook::read) {
        trust.wrong("roles", error.to_string());
    }
    roles
}

/// The roles as they are now. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Roles {
    book: watch::Receiver<Arc<RoleBook>>,
}

impl Roles {
    /// Roles that do not change.
    #[must_use]
    pub fn fixed(book: RoleBook) -> Self {
        Self { book: watch::channel(Arc::new(book)).1 }
    }

    /// Reads the file, and goes on looking at it.
    ///
    /// # Errors
    /// If it is wrong at the start.
    pub fn open(file: Option<PathBuf>, stop: CancellationToken) -> Result<Self, SettingsError> {
        let Some(file) = file else { return Ok(Self::fixed(RoleBook::default())) };
        let first = RoleBook::read(&file)?;
        tracing::info!(people = first.len(), "roles were read");
        let (tell, book) = watch::channel(Arc::new(first));
        tokio::spawn(follow(file, tell, stop));
        Ok(Self { book })
    }

    /// What a person may reach now.
    #[must_use]
    pub fn of(&self, person: &str) -> Option<Grant> {
        self.book.borrow().of(person).cloned()
    }
}

/// A file that is wrong or gone changes nothing and is told once: a slip of the pen locks nobody out, and nobody in.
async fn follow(file: PathBuf, tell: watch::Sender<Arc<RoleBook>>, stop: CancellationToken) {
    let mut seen = text_of(&file).await.ok();
    let mut refused = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
        let text = match text_of(&file).await {
            Ok(text) if seen.as_ref() == Some(&text) => continue,
            Ok(text) => text,
            Err(error) => {
                let said = error.to_string();
                if refused.as_ref() != Some(&said) {
                    tracing::error!(file = %file.display(), %error, "the roles cannot be read; those of before hold");
                    refused = Some(said);
                }
                continue;
            }
        };
        match RoleBook::from_text(&file, text.clone()) {
            Ok(book) => {
                tracing::info!(people = book.len(), "roles were read anew");
                tell.send_replace(Arc::new(book));
                refused = None;
            }
            Err(error) => {
                tracing::error!(file = %file.display(), %error, "the roles are wrong; those of before hold");
            }
        }
        seen = Some(text);
    }
}

async fn text_of(file: &Path) -> std::io::Result<String> {
    let size = tokio::fs::metadata(file).await?.len();
    if size > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!(
            "it has {size} bytes, at most {FILE_BYTES_MAX} are read"
        )));
    }
    tokio::fs::read_to_string(file).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::role::Role;

    #[tokio::test]
    async fn a_changed_file_is_read_anew_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roles.toml");
        let of = |role: &str| format!("[[person]]\nname = \"a\"\nrole = \"{role}\"\n");
        std::fs::write(&file, of("auditor")).unwrap();
        let stop = CancellationToken::new();
        let roles = Roles::open(Some(file.clone()), stop.clone()).unwrap();
        let role = || roles.of("a").map(|grant| grant.role);
        assert_eq!(role(), Some(Role::Auditor));
        let wait = tokio::time::sleep;
        std::fs::write(&file, of("king")).unwrap();
        wait(LOOK_INTERVAL + Duration::from_millis(500)).await;
        assert_eq!(role(), Some(Role::Auditor));
        std::fs::write(&file, of("responder")).unwrap();
        wait(LOOK_INTERVAL + Duration::from_millis(500)).await;
        assert_eq!(role(), Some(Role::Responder));
        std::fs::write(&file, "").unwrap();
        wait(LOOK_INTERVAL + Duration::from_millis(500)).await;
        assert_eq!(role(), None);
        stop.cancel();
    }
}

//! TLS at every port and to every port: version 1.3, both sides show a certificate, lists of revoked certificates are read.
//!
//! * [`Files`]: where certificate, key, authorities and lists lie, from the `[tls]` table;
//! * [`Current`]: what is in them now; it is read again every few seconds, so that a renewal needs no restart and a revocation ends
//!   the connections that exist;
//! * [`renewals`]: for those who read them only when they are made;
//! * [`listen`]: a port that hands out connections with a [`Peer`](crate::peer::Peer);
//! * [`dial`]: a connection to such a port, and what a person has to be told when there is none.
//!
//! A certificate whose issuer has a list must not be on it. One whose issuer has none is taken: an authority that never revoked
//! anything need not say so. A list that is past its next update goes on revoking what it names, and no more than that: an authority
//! that cannot be reached must not stop the watch.

use std::{io, path::PathBuf};

use rustls::server::VerifierBuilderError;
use vonggac_wire::identity::IdentityError;

use crate::settings::Table;

pub mod crowd;
mod current;
pub mod dial;
mod figures;
mod identity;
pub mod listen;
mod load;
pub mod renewals;
mod verify;

pub use current::Current;
pub use figures::{Figures, Refused};
pub use identity::{Named, of as identity_of};
pub use load::{Callers, Loaded};

/// Where the files of one program lie. All are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Its certificate, and those of its issuers up to below the root.
    pub certificate: PathBuf,
    /// Its private key, readable by its owner alone.
    pub key: PathBuf,
    /// Whom it trusts.
    pub authorities: PathBuf,
    /// Lists of revoked certificates of all issuers.
    pub revoked: Option<PathBuf>,
}

impl Files {
    /// Reads the `[tls]` table, or `plain_text = true`, which is `None`; exactly one of them must be there.
    pub fn take(root: &mut Table<'_>) -> Option<Self> {
        let plain = root.bool("plain_text");
        let files = root.table_if_there("tls", |tls| {
            let mut path = |name| PathBuf::from(tls.text_required(name));
            let (certificate, key, authorities) =
                (path("certificate"), path("key"), path("authorities"));
            Self { certificate, key, authorities, revoked: tls.path("revoked") }
        });
        match (&files, plain) {
            (None, Some(true)) | (Some(_), None) => {}
            (Some(_), Some(_)) => {
                root.wrong("plain_text", "stands beside [tls]; leave one of them out");
            }
            (None, _) => root.wrong(
                "plain_text",
                "must be true where there is no [tls]: without certificates everything travels in plain text, which has to be asked for by name; [tls] wants certificate, key and authorities",
            ),
        }
        files
    }

    /// Those of an issued set: a folder with `certificate.pem`, `key.pem`, `authorities.pem` and `revoked.pem`.
    #[must_use]
    pub fn of_set(folder: &std::path::Path) -> Self {
        Self {
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            authorities: folder.join("authorities.pem"),
            revoked: Some(folder.join("revoked.pem")),
        }
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("read {file}: {source}; look at its path and owner; `enrol` makes it", file = .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than any of its kind.
    #[error("read {file}: it has more than {bytes_max} bytes; is it the right file?", file = .file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// Others can read the private key.
    #[error("trust the key {file}: its mode is {mode:03o}, so others can read it; `chmod 600 {file}`", file = .file.display())]
    KeyOpen {
        /// The file.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file is not what it should be.
    #[error("understand {file}: {why}; wanted {wanted} in PEM", file = .file.display())]
    NotPem {
        /// The file.
        file: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The certificate names nobody.
    #[error("use the certificate {file}; have one issued by the centre's authority", file = .file.display())]
    Identity {
        /// The file.
        file: PathBuf,
        /// Why.
        source: NamesNobody,
    },
    /// Certificate, key, authorities and lists do not go together.
    #[error("use the certificate {file} with its key", file = .file.display())]
    Pair {
        /// The certificate.
        file: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// A metric's name is taken.
    #[error("count connections")]
    Figures(#[from] prometheus::Error),
    /// No verifier can be made of authorities and lists.
    #[error("use the authorities in {file}", file = .file.display())]
    Authorities {
        /// The authorities.
        file: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
}

/// Why a certificate names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamesNobody {
    /// It cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    /// It must have exactly one URI.
    #[error("the certificate has {0} URIs in its subjectAltName; wanted one")]
    Uris(usize),
    /// The URI is none of ours.
    #[error(transparent)]
    Uri(#[from] IdentityError),
}

#[cfg(test)]
pub(crate) mod made;
#[cfg(test)]
mod tests;

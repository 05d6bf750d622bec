//! A bucket of an object store that speaks S3: put, get, list and delete, each with an end.
//!
//! A file is one request: none has more than a few hundred megabytes, and what takes files in parts leaves parts behind that nobody asks for.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt as _;
use object_store::{
    BackoffConfig, ObjectStore as _, ObjectStoreExt as _, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};

use super::ColdError;
use crate::{retention::place::Bucket, roots::said};

mod way;

/// How often a request is tried again, and for how long. A run of retention that failed is tried again within the hour.
const RETRIES_MAX: usize = 3;
const RETRIES_WITHIN: Duration = Duration::from_secs(60);

/// Between two tries.
const PAUSE_LEAST: Duration = Duration::from_millis(200);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// How long one file may take with all tries: below what a lease on the store bears without a sign.
const WITHIN: Duration = Duration::from_secs(300);

/// How long a look at the bucket may take: a person waits for it.
const LOOK_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of a file that is read as a whole: more than any that was written.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// The files of a bucket. Cloning shares connections.
#[derive(Clone)]
pub(super) struct Objects {
    place: Arc<Bucket>,
    client: Arc<OnceLock<AmazonS3>>,
}

/// What was tried with a file that may not be there.
enum Failed {
    Gone,
    Otherwise(String),
}

impl From<object_store::Error> for Failed {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::Gone,
            other => Self::Otherwise(said(&other)),
        }
    }
}

/// The client is left out: it has the key.
impl fmt::Debug for Objects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Objects").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Objects {
    pub(super) fn new(place: Bucket) -> Self {
        Self { place: Arc::new(place), client: Arc::default() }
    }

    pub(super) fn place(&self) -> &Bucket {
        &self.place
    }

    /// The client; nobody is spoken to yet.
    fn client(&self) -> Result<&AmazonS3, Failed> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let Bucket { endpoint, region, name, key_id, secret, authorities, .. } = &*self.place;
        let way = way::Connector::new(authorities.as_deref(), endpoint.starts_with("http://"))
            .map_err(|error| Failed::Otherwise(said(&error)))?;
        let client = AmazonS3Builder::new()
            .with_endpoint(endpoint)
            .with_allow_http(true)
            .with_region(region)
            .with_bucket_name(name)
            .with_access_key_id(key_id.reveal())
            .with_secret_access_key(secret.reveal())
            // One after the other: not every store knows how to delete many.
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: PAUSE_LEAST,
                    max_backoff: PAUSE_MOST,
                    base: 2.0,
                },
                max_retries: RETRIES_MAX,
                retry_timeout: RETRIES_WITHIN,
            })
            .with_http_connector(way)
            .build()?;
        Ok(self.client.get_or_init(|| client))
    }

    fn at(&self, name: &str) -> Result<Path, Failed> {
        Path::parse(format!("{}{name}", self.place.prefix))
            .map_err(|error| Failed::Otherwise(said(&error)))
    }

    /// Carries something out within a time, and says what it was where it fails; `None`: the file is not there.
    async fn tried<T>(
        &self,
        (doing, name): (&'static str, &str),
        within: Duration,
        work: impl Future<Output = Result<T, Failed>>,
    ) -> Result<Option<T>, ColdError> {
        let failed = |why| ColdError::Bucket { doing, path: name.to_owned(), why };
        match tokio::time::timeout(within, work).await {
            Ok(Ok(done)) => Ok(Some(done)),
            Ok(Err(Failed::Gone)) => Ok(None),
            Ok(Err(Failed::Otherwise(why))) => Err(failed(why)),
            Err(_) => Err(failed(format!("no end within {} s", within.as_secs()))),
        }
    }

    /// The same of a file that has to be there.
    async fn of<T>(
        &self,
        (doing, name): (&'static str, &str),
        work: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, ColdError> {
        self.tried((doing, name), WITHIN, work).await?.ok_or_else(|| ColdError::Bucket {
            doing,
            path: name.to_owned(),
            why: "it is not there".into(),
        })
    }

    pub(super) async fn put(&self, name: &str, bytes: Bytes) -> Result<(), ColdError> {
        self.of(("write", name), async {
            self.client()?.put(&self.at(name)?, bytes.into()).await?;
            Ok(())
        })
        .await
    }

    pub(super) async fn hash(&self, name: &str) -> Result<String, ColdError> {
        self.of(("read back", name), async {
            let mut chunks = self.client()?.get(&self.at(name)?).await?.into_stream();
            let mut hash = blake3::Hasher::new();
            while let Some(chunk) = chunks.next().await {
                hash.update(&chunk?);
            }
            Ok(hash.finalize().to_hex().to_string())
        })
        .await
    }

    pub(super) async fn get(&self, name: &str) -> Result<Bytes, ColdError> {
        self.of(("read", name), async {
            let found = self.client()?.get(&self.at(name)?).await?;
            if found.meta.size > FILE_BYTES_MAX {
                return Err(Failed::Otherwise(format!("it has {} bytes", found.meta.size)));
            }
            Ok(found.bytes().await?)
        })
        .await
    }

    pub(super) async fn has(&self, name: &str) -> Result<bool, ColdError> {
        let looked = self.tried(("look for", name), LOOK_WITHIN, async {
            Ok(self.client()?.head(&self.at(name)?).await?)
        });
        Ok(looked.await?.is_some())
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), ColdError> {
        let gone = self.tried(("delete", name), WITHIN, async {
            Ok(self.client()?.delete(&self.at(name)?).await?)
        });
        gone.await.map(|_| ())
    }

    /// Whether the bucket is there, and lets us in.
    pub(super) async fn answers(&self) -> Result<(), ColdError> {
        let doing = ("list the bucket", self.place.name.as_str());
        let looked = self.tried(doing, LOOK_WITHIN, async {
            let prefix = self.place.prefix.trim_end_matches('/');
            let prefix = (!prefix.is_empty()).then(|| Path::from(prefix));
            match self.client()?.list(prefix.as_ref()).next().await {
                Some(Err(error)) => Err(error.into()),
                _ => Ok(()),
            }
        });
        looked.await?.ok_or_else(|| ColdError::Bucket {
            doing: doing.0,
            path: doing.1.into(),
            why: "it is not there".into(),
        })
    }
}

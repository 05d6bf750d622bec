//! An object store that speaks S3, on loopback and over a folder, which can be told to misbehave as such stores and the way to them do.

use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header::CONTENT_LENGTH,
    server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use tokio::{net::TcpListener, runtime::Runtime, sync::watch};

/// Who may ask.
const KEY_ID: &str = "VONGGACTESTKEY";

/// By what the asking is signed: with letters that have a meaning in addresses and in texts.
const SECRET: &str = "not+a/secret\\of=anybody";

/// The bucket.
const BUCKET: &str = "vonggac-cold";

/// What it does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fault {
    /// It answers them.
    #[default]
    None,
    /// It says that it is not available.
    Refuses,
    /// It takes them and never answers.
    Hangs,
    /// Files that are read come with one bit turned.
    Turns,
}

/// The store. It ends with its owner.
pub struct Objects {
    address: SocketAddr,
    folder: PathBuf,
    fault: watch::Sender<Fault>,
    runtime: Option<Runtime>,
}

impl Objects {
    /// Starts it over a folder.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let root = folder.join("objects");
        fs::create_dir_all(root.join(BUCKET))?;
        for (name, text) in [("key-id", KEY_ID), ("secret", SECRET)] {
            let path = folder.join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        }
        let files = s3s_fs::FileSystem::new(&root).ok().context("the folder of the objects")?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (fault, seen) = watch::channel(Fault::None);
        runtime.spawn(listen(listener, service.build(), seen));
        Ok(Self { address, folder: folder.to_owned(), fault, runtime: Some(runtime) })
    }

    /// What it does from now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// The settings of a collector whose cold tier it is.
    #[must_use]
    pub fn settings(&self) -> String {
        format!(
            "[cold.s3]\nendpoint = \"http://{}\"\nplain_text = true\nbucket = \"{BUCKET}\"\nprefix = \"nation/cold/\"\nkey_id_file = \"{}\"\nsecret_file = \"{}\"\n",
            self.address,
            self.folder.join("key-id").display(),
            self.folder.join("secret").display()
        )
    }

    /// The words that nobody else may learn.
    #[must_use]
    pub const fn secret() -> &'static str {
        SECRET
    }

    /// Where the files of the settings' prefix lie.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.folder.join("objects").join(BUCKET).join("nation/cold")
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn listen(
    listener: std::net::TcpListener,
    service: S3Service,
    fault: watch::Receiver<Fault>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let service = Arc::new(service);
    while let Ok((stream, _)) = listener.accept().await {
        let (service, fault) = (Arc::clone(&service), fault.clone());
        tokio::spawn(async move {
            let answering = service_fn(|request| answer(request, &service, &fault));
            // A connection that breaks is its client's trouble.
            let _ended =
                http1::Builder::new().serve_connection(TokioIo::new(stream), answering).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    service: &S3Service,
    fault: &watch::Receiver<Fault>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let fault = *fault.borrow();
    let is_list = request.uri().query().is_some_and(|query| query.contains("list-type"));
    let turns = fault == Fault::Turns && request.method() == Method::GET && !is_list;
    match fault {
        Fault::None | Fault::Turns => {}
        Fault::Refuses => return Ok(refusal(StatusCode::SERVICE_UNAVAILABLE)),
        Fault::Hangs => std::future::pending().await,
    }
    let is_head = request.method() == Method::HEAD;
    let Ok(answer) = service.call(request.map(s3s::Body::from)).await else {
        return Ok(refusal(StatusCode::INTERNAL_SERVER_ERROR));
    };
    let (mut parts, body) = answer.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(refusal(StatusCode::INTERNAL_SERVER_ERROR));
    };
    let mut bytes = body.to_bytes().to_vec();
    if let Some(byte) = bytes.last_mut().filter(|_| turns && parts.status.is_success()) {
        *byte ^= 1;
    }
    if !is_head {
        parts.headers.remove(CONTENT_LENGTH);
    }
    Ok(Response::from_parts(parts, Full::new(Bytes::from(bytes))))
}

fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(
        b"<Error><Code>ServiceUnavailable</Code><Message>told to</Message></Error>",
    )));
    *answer.status_mut() = status;
    answer
}

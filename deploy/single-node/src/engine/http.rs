//! The HTTP front on loopback.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, body::Incoming, header::HeaderValue,
    server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use vonggac_daemon::secret::Secret;

use super::{
    library::{Answer, EngineError},
    pool::{Pool, PoolError},
    statement::Statement,
};

/// Bytes of a request: a block of a hundred thousand rows.
const REQUEST_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Connections at once.
const CONNECTIONS_MAX: usize = 128;

/// Listens and answers until `shutdown`.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    pool: Pool,
    user: Option<User>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let user = Arc::new(user);
    let listener = TcpListener::bind(address).await?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        let (Ok((stream, _)), Ok(place)) = (accepted, Arc::clone(&places).acquire_owned().await)
        else {
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let (pool, user) = (pool.clone(), Arc::clone(&user));
        tokio::spawn(async move {
            let service =
                service_fn(move |request| answer(request, pool.clone(), Arc::clone(&user)));
            if let Err(error) =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
            {
                tracing::debug!(%error, "a connection broke");
            }
            drop(place);
        });
    }
}

/// The one who may ask: the engine's build has no users of its own.
pub struct User {
    name: &'static str,
    password: Secret,
}

impl User {
    /// By this name and password.
    #[must_use]
    pub const fn new(name: &'static str, password: Secret) -> Self {
        Self { name, password }
    }

    /// Whether the headers, as ClickHouse's clients send them, say both.
    fn is(&self, headers: &HeaderMap) -> bool {
        let of = |name: &str| headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
        let password = self.password.reveal().as_bytes();
        let given = of("X-ClickHouse-Key");
        // Each byte is looked at, so that the time does not say how many were right.
        let differ = password.iter().zip(given).fold(0, |differ, (one, two)| differ | (one ^ two));
        of("X-ClickHouse-User") == self.name.as_bytes()
            && given.len() == password.len()
            && differ == 0
    }
}

async fn answer(
    request: Request<Incoming>,
    pool: Pool,
    user: Arc<Option<User>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/ping"
        || (request.method() == Method::GET && request.uri().query().is_none())
    {
        return Ok(Response::new(Full::new(Bytes::from_static(b"Ok.\n"))));
    }
    if user.as_ref().as_ref().is_some_and(|user| !user.is(request.headers())) {
        let text = "Code: 516. DB::Exception: Authentication failed: password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)";
        return Ok(refuse(StatusCode::FORBIDDEN, Some(516), text));
    }
    let mut parameters = parameters(request.uri().query().unwrap_or_default());
    let boundary = request
        .headers()
        .get(hyper::header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok()?.strip_prefix("multipart/form-data; boundary="))
        .map(|boundary| boundary.trim_matches('"').to_owned());
    let body = match Limited::new(request.into_body(), REQUEST_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(error) => return Ok(refuse(StatusCode::PAYLOAD_TOO_LARGE, None, &error.to_string())),
    };
    let body = match boundary {
        Some(boundary) => {
            parameters.extend(form(&body, &boundary));
            Vec::new()
        }
        None => body,
    };
    let statement = match Statement::new(&parameters, body) {
        Ok(statement) => statement,
        Err(error) => return Ok(refuse(StatusCode::BAD_REQUEST, Some(62), &error.to_string())),
    };
    let begun = Instant::now();
    Ok(match pool.run(statement).await {
        Ok(answer) => accept(answer, begun),
        Err(PoolError::Engine(EngineError::Refused(text))) => {
            let code = code(&text);
            let status = match code {
                Some(60 | 81) => StatusCode::NOT_FOUND,
                Some(62 | 47 | 36 | 43 | 46) => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            refuse(status, code, &text)
        }
        Err(PoolError::Full) => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, Some(202), &PoolError::Full.to_string())
        }
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, None, &error.to_string()),
    })
}

fn accept(answer: Answer, begun: Instant) -> Response<Full<Bytes>> {
    let summary = format!(
        r#"{{"read_rows":"{}","read_bytes":"{}","elapsed_ns":"{}"}}"#,
        answer.rows_read,
        answer.bytes_read,
        begun.elapsed().as_nanos()
    );
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    if let Ok(summary) = HeaderValue::from_str(&summary) {
        response.headers_mut().insert("X-ClickHouse-Summary", summary);
    }
    response
}

fn refuse(status: StatusCode, code: Option<u32>, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = status;
    if let Some(code) = code {
        response.headers_mut().insert("X-ClickHouse-Exception-Code", HeaderValue::from(code));
    }
    response
}

/// The number in "Code: 62. DB::Exception: ...".
fn code(text: &str) -> Option<u32> {
    let rest = text.split("Code: ").nth(1)?;
    rest.split('.').next()?.trim().parse().ok()
}

/// The URL's parameters, decoded.
fn parameters(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// The text fields of a multipart form, as the client sends bound parameters.
fn form(body: &[u8], boundary: &str) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    text.split(&format!("--{boundary}"))
        .filter_map(|part| {
            let (head, value) = part.split_once("\r\n\r\n")?;
            let name = head.split("name=\"").nth(1)?.split('"').next()?;
            Some((name.to_owned(), value.strip_suffix("\r\n").unwrap_or(value).to_owned()))
        })
        .collect()
}

/// Undoes percent-encoding and `+`.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                let hex = std::str::from_utf8(&digits).unwrap_or("3f");
                bytes.push(u8::from_str_radix(hex, 16).unwrap_or(b'?'));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_name_and_password_is_the_user() {
        let user = User::new("vonggac", Secret::new("abc".into()));
        let is = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_str(value).unwrap());
            }
            user.is(&headers)
        };
        let name = ("x-clickhouse-user", "vonggac");
        assert!(is(&[name, ("x-clickhouse-key", "abc")]));
        assert!(!is(&[name, ("x-clickhouse-key", "abd")]));
        assert!(!is(&[name, ("x-clickhouse-key", "ab")]));
        assert!(!is(&[("x-clickhouse-user", "default"), ("x-clickhouse-key", "abc")]));
        assert!(!is(&[name]) && !is(&[]));
    }

    #[test]
    fn parameters_are_decoded() {
        assert_eq!(
            parameters("query=SELECT+1%2B1&a=%C4%90"),
            [("query".to_owned(), "SELECT 1+1".to_owned()), ("a".to_owned(), "Đ".to_owned())]
        );
    }

    #[test]
    fn the_exception_code_is_found() {
        assert_eq!(code("Code: 60. DB::Exception: Unknown table"), Some(60));
        assert_eq!(code("nothing"), None);
    }
}

//! HTTP and HTTPS, one request a connection.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Method, Request, Uri,
    client::conn::http1,
    header::{self, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;
use vonggac_wire::event::Check;

use super::{Facts, ProbeError, net::connect, require, tls};
use crate::config::{ProbeConfig, Redirects};

/// Bytes of a body that are read; a page that is longer answers all the same.
const BODY_BYTES_MAX: u64 = 4 << 20;

/// Bytes of a body in which something expected is looked for.
const MATCH_BYTES_MAX: usize = 1 << 20;

/// Places that an answer may point on to.
const REDIRECTS_MAX: usize = 5;

/// Sent with every request.
const USER_AGENT: &str = concat!("vonggac-agent/", env!("CARGO_PKG_VERSION"));

/// What came back.
struct Answer {
    status: u16,
    headers: HeaderMap,
    /// Its beginning, if something is expected in it.
    body: Vec<u8>,
}

pub(super) async fn attempt(
    config: &ProbeConfig,
    check: &mut Check,
    facts: &mut Facts,
) -> Result<(), ProbeError> {
    let mut uri: Uri =
        config.target.parse().map_err(|_| ProbeError::Target(config.target.clone()))?;
    for _ in 0..=REDIRECTS_MAX {
        let answer = fetch(&uri, config, check, facts).await?;
        let points_on = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
        match config.http.redirects {
            Redirects::Follow if points_on => uri = next(&uri, &answer)?,
            Redirects::Refuse if points_on => {
                return Err(ProbeError::Answer(format!(
                    "status {} points to {}, and redirects are refused",
                    answer.status,
                    location(&answer).unwrap_or("nowhere")
                )));
            }
            _ => return judge(config, &answer),
        }
    }
    Err(ProbeError::Answer(format!("more than {REDIRECTS_MAX} redirects")))
}

fn judge(config: &ProbeConfig, answer: &Answer) -> Result<(), ProbeError> {
    let (status, http) = (answer.status, &config.http);
    let right = http.expect_status.map_or((200..400).contains(&status), |wanted| status == wanted);
    if !right {
        let wanted =
            http.expect_status.map_or_else(|| "200 to 399".to_owned(), |code| code.to_string());
        return Err(ProbeError::Answer(format!("status {status}, wanted {wanted}")));
    }
    if let Some((name, pattern)) = &http.expect_header {
        let values: Vec<&[u8]> =
            answer.headers.get_all(name.as_str()).iter().map(HeaderValue::as_bytes).collect();
        if !values.iter().any(|value| pattern.is_match(value)) {
            let got =
                values.first().map_or("nothing".into(), |value| String::from_utf8_lossy(value));
            return Err(ProbeError::Answer(format!(
                "wanted {pattern} in the header {name}, got {got}"
            )));
        }
    }
    require(http.expect_body.as_ref(), &answer.body)
        .map_err(|_| ProbeError::Answer("what is expected does not stand in the body".into()))
}

fn location(answer: &Answer) -> Option<&str> {
    answer.headers.get(header::LOCATION)?.to_str().ok()
}

/// Where an answer points: a whole URL, or a place on the same server, from its root or from where we are.
fn next(from: &Uri, answer: &Answer) -> Result<Uri, ProbeError> {
    let wrong = |to: &str| ProbeError::Answer(format!("redirected to {to:?}, which is no URL"));
    let to = location(answer).ok_or_else(|| wrong(""))?;
    let to = to.split('#').next().unwrap_or(to);
    if let Some(elsewhere) = to.strip_prefix("//") {
        let scheme = from.scheme_str().unwrap_or("http");
        return format!("{scheme}://{elsewhere}").parse().map_err(|_| wrong(to));
    }
    if to.contains("://") || to.starts_with("data:") || to.starts_with("javascript:") {
        let uri: Uri = to.parse().map_err(|_| wrong(to))?;
        let speaks = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        return if speaks { Ok(uri) } else { Err(wrong(to)) };
    }
    let here = from.path();
    let to = match to.chars().next() {
        Some('/') => to.to_owned(),
        Some('?') => format!("{here}{to}"),
        _ => format!("{}/{to}", here.rsplit_once('/').map_or("", |(folder, _)| folder)),
    };
    let to: Uri = to.parse().map_err(|_| wrong(&to))?;
    let mut parts = to.into_parts();
    (parts.scheme, parts.authority) = (from.scheme().cloned(), from.authority().cloned());
    Uri::from_parts(parts).map_err(|error| wrong(&error.to_string()))
}

async fn fetch(
    uri: &Uri,
    config: &ProbeConfig,
    check: &mut Check,
    facts: &mut Facts,
) -> Result<Answer, ProbeError> {
    let host = uri.host().ok_or_else(|| ProbeError::Target(uri.to_string()))?.to_owned();
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let (stream, name) = connect(&format!("{host}:{port}"), check).await?;
    if secure {
        let stream = tls::handshake(stream, &name, config, check, facts).await?;
        request(stream, uri, config, check).await
    } else {
        request(stream, uri, config, check).await
    }
}

async fn request<S>(
    stream: S,
    uri: &Uri,
    config: &ProbeConfig,
    check: &mut Check,
) -> Result<Answer, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let begun = Instant::now();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // A probe that is given up takes its connection with it.
    let _driver = AbortOnDropHandle::new(tokio::spawn(connection));
    let mut response = sender.send_request(question(uri, config)?).await?;
    check.first_byte_seconds = Some(begun.elapsed().as_secs_f64());
    let status = response.status().as_u16();
    check.http_status_code = Some(status.into());
    check.body_bytes = 0;
    let mut body = Vec::new();
    while check.body_bytes < BODY_BYTES_MAX {
        match response.body_mut().frame().await {
            Some(Ok(frame)) => {
                let data = frame.data_ref().map_or(&[][..], |data| data);
                check.body_bytes += data.len() as u64;
                if config.http.expect_body.is_some() {
                    let room = MATCH_BYTES_MAX.saturating_sub(body.len()).min(data.len());
                    body.extend_from_slice(&data[..room]);
                }
            }
            Some(Err(error)) => return Err(error.into()),
            None => break,
        }
    }
    Ok(Answer { status, headers: response.headers().clone(), body })
}

fn question(uri: &Uri, config: &ProbeConfig) -> Result<Request<Empty<Bytes>>, ProbeError> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let host = host.rsplit('@').next().unwrap_or(host);
    let wrong = || ProbeError::Target(uri.to_string());
    let method = Method::from_bytes(config.http.method.as_bytes()).map_err(|_| wrong())?;
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| wrong())?;
    for (name, value) in &config.http.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_points_anywhere_but_out_of_the_web() {
        let to = |from: &str, to: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, HeaderValue::from_str(to).unwrap());
            let answer = Answer { status: 302, headers, body: Vec::new() };
            next(&from.parse().unwrap(), &answer).map(|uri| uri.to_string())
        };
        let here = "https://a.example:8443/x/y?z=1";
        for (location, found) in [
            ("/home", "https://a.example:8443/home"),
            ("home#top", "https://a.example:8443/x/home"),
            ("?z=2", "https://a.example:8443/x/y?z=2"),
            ("//b.example/w", "https://b.example/w"),
            ("http://c.example/", "http://c.example/"),
        ] {
            assert_eq!(to(here, location).unwrap(), found, "{location}");
        }
        for wrong in ["ftp://a/", "file:///etc/passwd", "javascript:alert(1)", "http://", "/a b"] {
            assert!(to(here, wrong).is_err(), "{wrong}");
        }
    }
}

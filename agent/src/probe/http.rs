//! HTTP and HTTPS, one request a connection.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use vonggac_wire::event::Check;

use super::{BODY_BYTES_MAX, ProbeError, USER_AGENT, connect, tls};
use crate::config::ProbeConfig;

pub(super) async fn attempt(config: &ProbeConfig, check: &mut Check) -> Result<(), ProbeError> {
    let wrong = || ProbeError::Target(config.target.clone());
    let uri: Uri = config.target.parse().map_err(|_| wrong())?;
    let host = uri.host().ok_or_else(wrong)?.to_owned();
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let (stream, name) = connect(&format!("{host}:{port}"), check).await?;
    let status = if secure {
        let stream = tls::handshake(stream, &name, check).await?;
        request(stream, &uri, check).await?
    } else {
        request(stream, &uri, check).await?
    };
    let right =
        config.expect_status.map_or((200..400).contains(&status), |wanted| status == wanted);
    if right {
        return Ok(());
    }
    let wanted =
        config.expect_status.map_or_else(|| "200 to 399".to_owned(), |code| code.to_string());
    Err(ProbeError::Answer(format!("status {status}, wanted {wanted}")))
}

async fn request<S>(stream: S, uri: &Uri, check: &mut Check) -> Result<u16, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let begun = Instant::now();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| ProbeError::Target(uri.to_string()))?;
    let mut response = sender.send_request(request).await?;
    check.first_byte_seconds = Some(begun.elapsed().as_secs_f64());
    let status = response.status().as_u16();
    check.http_status_code = Some(status.into());
    while check.body_bytes < BODY_BYTES_MAX {
        match response.body_mut().frame().await {
            Some(Ok(frame)) => check.body_bytes += frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(error)) => return Err(error.into()),
            None => break,
        }
    }
    driver.abort();
    Ok(status)
}

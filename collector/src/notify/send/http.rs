//! Requests with a JSON body: webhooks, Telegram, Slack and what is like them.
//!
//! A request with a key carries `X-Vonggac-Signature: t=SECONDS,v1=HEX`, where `HEX` is HMAC-SHA-256 over `SECONDS.BODY`: a receiver that
//! compares it, and refuses an old time, knows who speaks and that nobody speaks again. `X-Vonggac-Delivery` is the message's name,
//! the same at each try. No redirect is followed: a signed request goes where the configuration says, or nowhere.

use std::time::Duration;

use data_encoding::HEXLOWER;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use ring::hmac;
use serde_json::{Value, json};
use vonggac_daemon::secret::Secret;
use vonggac_wire::Time;

use super::CONNECTED_WITHIN;
use crate::{
    notify::{
        escape::Medium,
        queue::Outcome,
        settings::{Form, Http},
        text::{CHAT_CHARACTERS_MAX, Text, fill},
    },
    roots::{RootsError, believed, said},
};

/// Bytes of an answer that are read: its first words are told.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// Characters of an answer that are told.
const ANSWER_CHARACTERS_MAX: usize = 200;

/// Why there was no answer. The address is in none of these texts: it may be the secret.
#[derive(Debug, thiserror::Error)]
enum PostError {
    /// The request.
    #[error("write the request; look at the channel's url and secrets")]
    Request(#[from] hyper::http::Error),
    /// A secret that no header carries.
    #[error("write the request's header; look at authorization_file")]
    Header(#[from] hyper::header::InvalidHeaderValue),
    /// Who vouches for the server.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// No connection, or it broke.
    #[error("post the message; is the address right, and the way open?")]
    Broken(#[from] hyper_util::client::legacy::Error),
}

pub(super) async fn send(http: &Http, text: &Text<'_>) -> Outcome {
    let body = body(&http.form, text).to_string();
    match posted(http, body, text.id, Time::now()).await {
        Ok(answer) => judged(answer).await,
        Err(error) => Outcome::Failed(said(&error), None),
    }
}

/// What is sent. All forms are documents whose texts are filled: no value changes their shape.
fn body(form: &Form, text: &Text<'_>) -> Value {
    match form {
        Form::Webhook => text.json(),
        Form::Template(template) => fill(template, &text.values()),
        Form::Telegram(chat) => json!({
            "chat_id": chat,
            "text": text.body(Medium::Html, CHAT_CHARACTERS_MAX),
            "parse_mode": "HTML",
            "link_preview_options": { "is_disabled": true },
        }),
        Form::Slack => json!({ "text": text.body(Medium::Mrkdwn, CHAT_CHARACTERS_MAX) }),
    }
}

/// The header's value of a signed body.
fn signature(key: &Secret, body: &str, now: Time) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.reveal().as_bytes());
    let seconds = now.seconds();
    let tag = hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
    format!("t={seconds},v1={}", HEXLOWER.encode(tag.as_ref()))
}

async fn posted(
    http: &Http,
    body: String,
    id: &str,
    now: Time,
) -> Result<Response<Incoming>, PostError> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(http.url.reveal())
        .header(CONTENT_TYPE, "application/json")
        .header("x-vonggac-delivery", id);
    if let Some(key) = &http.key {
        request = request.header("x-vonggac-signature", signature(key, &body, now));
    }
    if let Some(authorization) = &http.authorization {
        let mut value = HeaderValue::from_str(authorization.reveal())?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request.body(Full::new(Bytes::from(body)))?;
    let is_https = request.uri().scheme_str() == Some("https");
    Ok(client(http, is_https)?.request(request).await?)
}

type Poster = Client<hyper_rustls::HttpsConnector<HttpConnector>, Full<Bytes>>;

/// One for each try: a connection that is kept would be one that was closed meanwhile.
fn client(http: &Http, is_https: bool) -> Result<Poster, PostError> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECTED_WITHIN));
    // In plain text nobody has to vouch for anybody.
    let nobody: &[u8] = &[];
    let authorities = if is_https { http.authorities.as_deref() } else { Some(nobody) };
    let settings = believed(authorities)?;
    let builder = HttpsConnectorBuilder::new().with_tls_config((*settings).clone());
    let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// What an answer means.
async fn judged(answer: Response<Incoming>) -> Outcome {
    let status = answer.status();
    let asked = answer.headers().get(RETRY_AFTER).and_then(|value| pause(value, Time::now()));
    // Its end says that it was said; its words are for people.
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    if status.is_success() {
        return Outcome::Taken;
    }
    let bytes = body.map(|body| body.to_bytes()).unwrap_or_default();
    let words = String::from_utf8_lossy(&bytes);
    let words = crate::notify::escape::escape(Medium::Plain, words.trim(), ANSWER_CHARACTERS_MAX);
    let told = format!("the answer was {status}: {words}");
    let told = told.trim_end_matches([':', ' ']).to_owned();
    let later = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        );
    if later { Outcome::Failed(told, asked) } else { Outcome::Refused(told) }
}

/// How long the other side wants to be left alone, as seconds or as a date.
fn pause(value: &HeaderValue, now: Time) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Time::from_seconds(date.timestamp().as_second()).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_anybody_computes_who_has_the_key() {
        // printf '1764000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let made =
            signature(&Secret::new("key".into()), "{\"a\":1}", Time::from_seconds(1_764_000_000));
        assert_eq!(
            made,
            "t=1764000000,v1=66ff00156971bc93c586dacc7bf22d6f5f4d9fcaede23c166be2b3ec3215f68a"
        );
        let other =
            signature(&Secret::new("key".into()), "{\"a\":1}", Time::from_seconds(1_764_000_001));
        assert_ne!(made.split_once(",v1="), other.split_once(",v1="));
    }

    #[test]
    fn seconds_and_dates_say_how_long_to_wait() {
        let now = Time::from_seconds(1_445_412_480);
        let of = |text: &'static str| pause(&HeaderValue::from_static(text), now);
        assert_eq!(of("120"), Some(Duration::from_secs(120)));
        assert_eq!(of("Wed, 21 Oct 2015 07:29:00 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(of("Wed, 21 Oct 2015 07:27:00 GMT"), Some(Duration::ZERO));
        assert_eq!(of("soon"), None);
    }
}

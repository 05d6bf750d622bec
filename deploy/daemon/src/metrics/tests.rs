use std::{net::Ipv4Addr, path::Path};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::{
    settings::Document,
    tls::{
        Current,
        dial::{Dial, Trouble},
        made::{Authority, Says, set},
    },
};

async fn scraped(dial: &Dial, port: u16) -> Result<String, Option<Trouble>> {
    let asked = async {
        let mut connection = dial.connect("localhost", port).await?;
        connection.write_all(b"GET /metrics HTTP/1.1\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    match (asked.await, dial.trouble()) {
        (Ok(answer), None) if !answer.is_empty() => Ok(answer),
        (_, trouble) => Err(trouble),
    }
}

#[tokio::test]
async fn figures_are_told_to_people_and_collectors_that_show_a_certificate() {
    let authority = Authority::new("ours");
    let of = |uri: &'static str| {
        let says = Says { uris: &[uri], ..Says::default() };
        set(&authority.issue(&says), &authority.pem, "")
    };
    let stop = CancellationToken::new();
    let (_centre, files) = of("spiffe://vonggac/collector/centre-1");
    let registry = Registry::new();
    let doors = Doors::open(Some(files), &registry, "test", &stop).unwrap();
    let at = At { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), tls: true };
    let port = serve(at, &doors, registry, stop.clone()).await.unwrap().port();
    for (uri, told) in [
        ("spiffe://vonggac/person/prometheus", true),
        ("spiffe://vonggac/collector/centre-2", true),
        ("spiffe://vonggac/agency/H49/agent/a", false),
        ("spiffe://vonggac/broker/kafka-1", false),
    ] {
        let (_folder, files) = of(uri);
        let dial = Dial::new(Security::Tls(Current::once(files).unwrap()));
        let answer = scraped(&dial, port).await;
        assert_eq!(answer.is_ok_and(|text| text.contains("test_certificate_ends")), told, "{uri}");
    }
    let plain = Dial::new(Security::PlainText);
    assert_eq!(scraped(&plain, port).await, Err(Some(Trouble::WantsTls)));
    stop.cancel();
}

#[test]
fn figures_are_told_in_plain_text_on_loopback_alone_where_there_are_certificates() {
    let read = |text: &str, files: Option<&Files>| {
        let document = Document::from_text(Path::new("a.toml"), text.into());
        document.finish(|root| At::take(root, "127.0.0.1:1", files).map(|at| at.tls))
    };
    let files = Files::of_set(Path::new("/set"));
    let (here, there) = ("127.0.0.1:1", "10.0.0.5:1");
    let listen = |at: &str, more: &str| format!("[metrics]\nlisten = \"{at}\"\n{more}");
    assert_eq!(read("", Some(&files)).ok(), Some(None));
    assert_eq!(read(&listen(here, ""), Some(&files)).ok(), Some(Some(false)));
    assert_eq!(read(&listen(here, "tls = true"), Some(&files)).ok(), Some(Some(true)));
    assert_eq!(read(&listen(there, ""), Some(&files)).ok(), Some(Some(true)));
    assert!(read(&listen(there, "tls = false"), Some(&files)).is_err());
    assert_eq!(read(&listen(there, ""), None).ok(), Some(Some(false)));
    assert!(read(&listen(here, "tls = true"), None).is_err());
}

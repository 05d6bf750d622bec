//! Mail, by lettre: TLS from the first byte or by STARTTLS, plain text only where the configuration says so by name.

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
        extension::ClientId,
        response::Category,
    },
};

use super::CONNECTED_WITHIN;
use crate::{
    notify::{
        escape::Medium,
        queue::Outcome,
        settings::{Smtp, SmtpTls},
        text::Text,
    },
    roots::said,
    store::host,
};

/// Characters of a mail's text: lists of the worst incidents, nobody reads more.
const TEXT_CHARACTERS_MAX: usize = 20_000;

/// Why there is no mail.
#[derive(Debug, thiserror::Error)]
enum MailError {
    /// An address.
    #[error("write to an address; look at the channel's addresses")]
    Address(#[from] lettre::address::AddressError),
    /// The mail as a whole.
    #[error("write the mail")]
    Mail(#[from] lettre::error::Error),
    /// The server.
    #[error("hand the mail over")]
    Server(#[from] lettre::transport::smtp::Error),
}

pub(super) async fn send(smtp: &Smtp, text: &Text<'_>, recipients: &[String]) -> Outcome {
    match sent(smtp, text, recipients).await {
        Ok(()) => Outcome::Taken,
        Err(error) => {
            let refused = matches!(&error, MailError::Server(server) if is_of_mail(server));
            let told = said(&error);
            if refused { Outcome::Refused(told) } else { Outcome::Failed(told, None) }
        }
    }
}

/// Whether it is the server's word on the mail. Everything else may be otherwise the next time, a log-in (53x, RFC 4954) too: other mails
/// would fare no better.
fn is_of_mail(error: &lettre::transport::smtp::Error) -> bool {
    let of_log_in = error.status().is_some_and(|code| code.category == Category::Unspecified3);
    error.is_permanent() && !of_log_in
}

async fn sent(smtp: &Smtp, text: &Text<'_>, recipients: &[String]) -> Result<(), MailError> {
    let mail = mail(smtp, text, recipients)?;
    transport(smtp)?.send(mail).await?;
    Ok(())
}

/// The mail. Its id is the message's own, so that one that comes twice is known.
fn mail(smtp: &Smtp, text: &Text<'_>, recipients: &[String]) -> Result<Message, MailError> {
    let from: Address = smtp.from.parse()?;
    let id = format!("<{}@{}>", text.id, from.domain());
    let mut builder = Message::builder()
        .from(Mailbox::new(None, from))
        .message_id(Some(id))
        .date_now()
        .subject(text.subject())
        // No answering machine answers a machine (RFC 3834).
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".into(),
        ))
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("X-Vonggac-TLP"),
            text.tlp.label().into(),
        ))
        .header(ContentType::TEXT_PLAIN);
    for recipient in recipients {
        builder = builder.to(Mailbox::new(None, recipient.parse()?));
    }
    Ok(builder.body(text.body(Medium::Plain, TEXT_CHARACTERS_MAX))?)
}

fn transport(smtp: &Smtp) -> Result<AsyncSmtpTransport<Tokio1Executor>, MailError> {
    let parameters = || {
        let mut builder = TlsParameters::builder(smtp.host.clone());
        if let Some(pem) = &smtp.authorities {
            builder = builder
                .certificate_store(CertificateStore::None)
                .add_root_certificate(Certificate::from_pem(pem)?);
        }
        builder.build_rustls()
    };
    let tls = match smtp.tls {
        SmtpTls::Implicit => Tls::Wrapper(parameters()?),
        SmtpTls::StartTls => Tls::Required(parameters()?),
        SmtpTls::None => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(smtp.host.clone())
        .port(smtp.port)
        .tls(tls)
        .hello_name(ClientId::Domain(host()))
        .timeout(Some(CONNECTED_WITHIN));
    if let Some((user, password)) = &smtp.login {
        builder = builder.credentials(Credentials::new(user.clone(), password.reveal().to_owned()));
    }
    Ok(builder.build())
}

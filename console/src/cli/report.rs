//! Reports that laws ask for: asked for here, made by [`crate::report`], written to a file or to whoever reads the output.

use std::{
    fs::OpenOptions,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use vonggac_answer::sanitise::sanitise_json;
use vonggac_daemon::exit::Exit;
use vonggac_document::{Document, DocumentError, markdown, odt, pdf};
use vonggac_wire::{
    IncidentId, Time,
    proto::{Incident, IncidentRequest, IncidentsRequest},
};

use super::{
    complain,
    filter::Filter,
    form::Form,
    print,
    show::{said, whole},
};
use crate::{
    client::Client,
    report::{Facts, Half, Kind, Names, Told, draft, gaps, summary},
    words::{Lang, Words},
};

/// Which report.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// The draft of a report of one incident.
    Draft {
        /// Its number.
        id: String,
        /// initial, progress or final.
        #[arg(long, hide_possible_values = true)]
        kind: Kind,
        #[command(flatten)]
        way: Way,
    },
    /// The summary of half a year.
    Summary {
        /// 2026-H1 or 2026-H2.
        #[arg(long)]
        half: String,
        #[command(flatten)]
        way: Way,
    },
}

/// Where it goes, and in which language.
#[derive(Debug, clap::Args)]
pub(super) struct Way {
    /// A file that is not there yet.
    #[arg(long)]
    output: Option<PathBuf>,
    /// vi or en.
    #[arg(long = "in", value_parser = ["vi", "en"], default_value = "vi", hide_possible_values = true)]
    language: String,
}

impl Action {
    const fn way(&self) -> &Way {
        match self {
            Self::Draft { way, .. } | Self::Summary { way, .. } => way,
        }
    }
}

/// Makes it and writes it.
pub(super) async fn run(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: Form,
    action: &Action,
    author: &str,
) -> Result<Exit, String> {
    let way = action.way();
    // A report is an authority's: in Vietnamese whatever the screen speaks.
    let own = crate::words::of(Lang::from_code(&way.language).unwrap_or_default());
    let document = match action {
        Action::Draft { id, kind, .. } => {
            one(client, words, &own, (id.as_str(), *kind), author).await?
        }
        Action::Summary { half, .. } => many(client, words, &own, filter, half, author).await?,
    };
    let bytes = written(&document, form)
        .map_err(|error| words.with("report-not-made", &[("error", &error.to_string())]))?;
    match &way.output {
        Some(file) => save(words, file, &bytes, &document),
        None => tell(words, form, &bytes),
    }
}

async fn one(
    client: &mut Client,
    words: &Words,
    own: &Words,
    (id, kind): (&str, Kind),
    author: &str,
) -> Result<Document, String> {
    let IncidentId(id) = id.parse().map_err(|_| words.with("bad-id", &[("text", id)]))?;
    let asked = client.get_incident(IncidentRequest { id }).await;
    let detail = asked.map_err(said(words))?.into_inner();
    let picture = whole(client, words).await?;
    let facts = Facts {
        detail: &detail,
        names: Names { agencies: &picture.agencies, systems: &picture.systems },
        author,
        now: Time(picture.time_unix_nano),
    };
    let unknown = || words.with("refused-not-found", &[("id", &id.to_string())]);
    draft(own, kind, &facts).ok_or_else(unknown)
}

async fn many(
    client: &mut Client,
    words: &Words,
    own: &Words,
    filter: &Filter,
    half: &str,
    author: &str,
) -> Result<Document, String> {
    // What is no half was refused before.
    let half: Half = half.parse().unwrap_or_else(|_| Half::of(Time::now()));
    let picture = whole(client, words).await?;
    let now = Time(picture.time_unix_nano);
    let (mut since, mut until) = half.span();
    if let Some(text) = &filter.since {
        since = super::filter::time(text, now).unwrap_or(since);
    }
    if let Some(text) = &filter.until {
        until = super::filter::time(text, now).unwrap_or(until);
    }
    let request = IncidentsRequest { since_unix_nano: since.0, until_unix_nano: until.0 };
    let mut stream = client.incidents(request).await.map_err(said(words))?.into_inner();
    let mut incidents: Vec<Incident> = Vec::new();
    while let Some(reply) = stream.message().await.map_err(said(words))? {
        incidents.extend(reply.incidents.into_iter().filter(|one| {
            filter.agency.as_ref().is_none_or(|agency| one.agencies.contains(agency))
        }));
    }
    let told = Told {
        half,
        span: (since, until),
        incidents: &incidents,
        duties: &picture.duties,
        names: Names { agencies: &picture.agencies, systems: &picture.systems },
        author,
        now,
    };
    Ok(summary(own, &told))
}

fn written(document: &Document, form: Form) -> Result<Vec<u8>, DocumentError> {
    match form {
        Form::Odt => odt::write(document),
        Form::Pdf => pdf::write(document),
        Form::Rows(vonggac_answer::rows::Format::Json) => {
            let text = serde_json::to_string_pretty(document).map_err(std::io::Error::from)?;
            Ok(format!("{}\n", sanitise_json(&text)).into_bytes())
        }
        Form::Rows(_) => Ok(markdown::write(document).into_bytes()),
    }
}

/// A report writes over no file: the one before it may have been signed.
fn save(words: &Words, file: &Path, bytes: &[u8], document: &Document) -> Result<Exit, String> {
    let name = file.display().to_string();
    let opened = OpenOptions::new().write(true).create_new(true).open(file);
    let failed = |error: std::io::Error| {
        let values = [("file", name.as_str()), ("error", &error.to_string())];
        words.with("report-not-written", &values)
    };
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(words.with("report-exists", &[("file", &name)]));
        }
        Err(error) => return Err(failed(error)),
    };
    opened.write_all(bytes).and_then(|()| opened.sync_all()).map_err(failed)?;
    let gaps = gaps(document).to_string();
    Ok(complain(&words.with("report-written", &[("file", &name), ("gaps", &gaps)]), Exit::Success))
}

fn tell(words: &Words, form: Form, bytes: &[u8]) -> Result<Exit, String> {
    let mut out = std::io::stdout().lock();
    if let Form::Rows(_) = form {
        drop(out);
        print(&String::from_utf8_lossy(bytes));
        return Ok(Exit::Success);
    }
    if out.is_terminal() {
        let format = form.name();
        return Ok(complain(&words.with("report-needs-file", &[("format", format)]), Exit::Usage));
    }
    // A reader that left early is no error.
    let _left = out.write_all(bytes).and_then(|()| out.flush());
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_writes_over_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bao-cao.pdf");
        let words = crate::words::of(Lang::En);
        let document = Document::default();
        assert_eq!(save(&words, &file, b"one", &document), Ok(Exit::Success));
        let refused = save(&words, &file, b"two", &document).unwrap_err();
        assert!(refused.contains("is there already"), "{refused}");
        assert_eq!(std::fs::read(&file).unwrap(), b"one");
    }

    #[test]
    fn every_form_of_an_empty_report_is_made() {
        for form in Form::ALL {
            assert!(!written(&Document::default(), form).unwrap().is_empty(), "{form:?}");
        }
    }
}

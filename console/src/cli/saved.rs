//! Searches that are saved at the centre.

use clap::Subcommand;
use vonggac_answer::rows::{self, Format, Row};
use vonggac_daemon::exit::Exit;
use vonggac_wire::{
    Time,
    proto::{
        ChangeSavedSearchRequest, DeleteSearch, RenameSearch, SaveSearch, SavedSearch,
        SavedSearchesRequest, SearchRequest, change_saved_search_request::Change,
    },
};

use super::{complain, filter::Filter, print, row, show};
use crate::{
    app::{line_of_saved, refusal_of_saved},
    client::Client,
    query,
    words::Words,
};

/// An action.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List them.
    List,
    /// Run one, as `events` does.
    Run {
        /// Its name or id.
        search: String,
    },
    /// Save a search under a name.
    Save {
        /// Its name.
        name: String,
        /// As it is typed on the events screen.
        line: String,
    },
    /// Rename one.
    Rename {
        /// Its name or id.
        search: String,
        /// The new name.
        to: String,
    },
    /// Delete one.
    Delete {
        /// Its name or id.
        search: String,
        /// Delete it indeed.
        #[arg(long)]
        yes: bool,
    },
}

async fn all(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
) -> Result<Vec<SavedSearch>, String> {
    let request = SavedSearchesRequest { agency: filter.agency.clone().unwrap_or_default() };
    Ok(client.saved_searches(request).await.map_err(show::said(words))?.into_inner().searches)
}

/// Those of all, or of an agency.
pub(super) async fn list(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
) -> Result<Vec<Row>, String> {
    let mut rows: Vec<Row> = all(client, words, filter).await?.iter().map(row::saved).collect();
    if let Some(limit) = filter.limit.filter(|limit| *limit > 0) {
        rows.truncate(limit as usize);
    }
    Ok(rows)
}

pub(super) async fn run(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
    action: Action,
) -> Exit {
    let done = match action {
        Action::List => match list(client, words, filter).await {
            Ok(rows) => {
                print(&rows::write(form, &rows));
                return Exit::Success;
            }
            Err(error) => return complain(&error, Exit::Failure),
        },
        Action::Run { search } => {
            return match run_one(client, words, filter, form, &search).await {
                Ok(()) => Exit::Success,
                Err(error) => complain(&error, Exit::Failure),
            };
        }
        Action::Save { name, line } => {
            let agency = filter.agency.clone().unwrap_or_default();
            let change = Change::Save(SaveSearch { name, agency, line });
            change_one(client, words, form, change, "saved-done-save").await
        }
        Action::Rename { search, to } => {
            let change = Change::Rename(RenameSearch { search, name: to });
            change_one(client, words, form, change, "saved-done-rename").await
        }
        // That one is sure was looked at before.
        Action::Delete { search, .. } => {
            let change = Change::Delete(DeleteSearch { search });
            change_one(client, words, form, change, "saved-done-delete").await
        }
    };
    match done {
        Ok(()) => Exit::Success,
        Err(error) => complain(&error, Exit::Failure),
    }
}

async fn change_one(
    client: &mut Client,
    words: &Words,
    form: &Format,
    change: Change,
    done: &str,
) -> Result<(), String> {
    let request = ChangeSavedSearchRequest { change: Some(change) };
    let reply = client.change_saved_search(request).await.map_err(show::said(words))?.into_inner();
    if !reply.refused.is_empty() {
        return Err(refusal_of_saved(words, &reply.refused));
    }
    let search = reply.search.unwrap_or_default();
    if *form == Format::Table {
        let told = words.with(done, &[("name", &search.name)]);
        print(&format!("{}\n", crate::sanitise::sanitise(&told)));
    } else {
        print(&rows::write(form, &[row::saved(&search)]));
    }
    Ok(())
}

async fn run_one(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
    search: &str,
) -> Result<(), String> {
    let known = all(client, words, filter).await?;
    let named: Vec<&SavedSearch> =
        known.iter().filter(|known| known.id == search || known.name == search).collect();
    let found = match named.as_slice() {
        [one] => *one,
        [] => return Err(refusal_of_saved(words, &format!("not-found {search}"))),
        _ => return Err(refusal_of_saved(words, &format!("ambiguous {search}"))),
    };
    let line = line_of_saved(found);
    if let Some(query) = line.trim_start().strip_prefix(';') {
        let rows = show::sql(client, words, query.trim(), filter).await?;
        print(&rows::write(form, &rows));
        return Ok(());
    }
    let now = Time::now();
    let mut request = SearchRequest { histogram_columns: 0, limit: 0, ..query::parse(&line, now) };
    // A time that is given wins over the line's.
    let bad = |text: String| words.with("bad-time", &[("text", &text)]);
    let (since, until) = filter.window(now).map_err(bad)?;
    if filter.since.is_some() {
        request.since_unix_nano = since.0;
    }
    if filter.until.is_some() {
        request.until_unix_nano = until.0;
    }
    show::pages(client, words, filter, form, request, None).await
}

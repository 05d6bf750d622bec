//! What was told of incidents, by which channel, to whom, and whether it came.

use serde_json::json;
use vonggac_answer::{
    rows::{self, Row},
    words::Lang,
};
use vonggac_wire::{
    IncidentId, Time,
    proto::{Notification, NotificationsRequest},
};

use super::{filter::Filter, row, show::said};
use crate::{client::Client, words::Words};

/// What is asked for besides a time, an agency and a state.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Options {
    /// Of this incident.
    #[arg(long)]
    pub(super) incident: Option<String>,
    /// By this channel.
    #[arg(long)]
    channel: Option<String>,
}

/// Newest first. Of one incident all of it, however long ago.
pub(super) async fn rows(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    options: &Options,
) -> Result<Vec<Row>, String> {
    let incident = match &options.incident {
        Some(text) => {
            let IncidentId(id) =
                text.parse().map_err(|_| words.with("bad-id", &[("text", text)]))?;
            id
        }
        None => 0,
    };
    let (mut since, until) =
        filter.window(Time::now()).map_err(|text| words.with("bad-time", &[("text", &text)]))?;
    if incident != 0 && filter.since.is_none() {
        since = Time(0);
    }
    let request = NotificationsRequest {
        agency: filter.agency.clone().unwrap_or_default(),
        incident,
        channel: options.channel.clone().unwrap_or_default(),
        state: filter.status.clone().unwrap_or_default(),
        since_unix_nano: since.0,
        until_unix_nano: until.0,
        limit: filter.limit.unwrap_or_default(),
    };
    let reply = client.notifications(request).await.map_err(said(words))?.into_inner();
    Ok(reply.notifications.iter().map(|one| row_of(one, words.lang())).collect())
}

fn row_of(one: &Notification, lang: Lang) -> Row {
    let time = |nanos: i64| row::time((nanos != 0).then_some(nanos));
    let title = match lang {
        Lang::Vi => &one.title_vi,
        Lang::En => &one.title_en,
    };
    rows::row(json!({
        "time": time(one.time_unix_nano),
        "state": one.state,
        "channel": one.channel,
        "event": one.event,
        "incident": (one.incident != 0).then_some(one.incident),
        "severity": format!("M{}", one.severity),
        "agency": one.agency,
        "sent": time(one.sent_unix_nano),
        "recipients": one.recipients.join(" "),
        "tlp": one.tlp,
        "attempts": one.attempts,
        "next_try": time(one.next_try_unix_nano),
        "error": one.error,
        "title": title,
        "route": one.route,
        "actor": one.actor,
        "why": one.why,
        "id": one.id,
    }))
}

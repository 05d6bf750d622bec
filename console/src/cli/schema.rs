//! Names, types and meanings of each screen's JSON. The names are stable.

use serde_json::{Value, json};

use vonggac_answer::rows::Row;

/// Screens that have a schema.
pub(super) const NAMES: [&str; 21] = [
    "agencies",
    "systems",
    "agents",
    "checks",
    "events",
    "incidents",
    "handover",
    "usage",
    "flow",
    "gaps",
    "dead",
    "notifications",
    "saved",
    "spread",
    "duties",
    "receipts",
    "verify",
    "audit",
    "break-glass",
    "quiet",
    "why",
];

/// Name, type, meaning.
type Field = (&'static str, &'static str, &'static str);

const AGENCY: Field =
    ("agency", "text", "code of Decision 20/2020, tk-NN, or local; * is the nation");
const SIMULATED: Field = ("simulated", "boolean", "made by a scenario player");

const AGENTS: &[Field] = &[
    AGENCY,
    ("host", "text", "the host's name"),
    ("agent", "text", "the agent's name, made once"),
    ("system", "text", "the system that the host serves"),
    ("state", "text", "ok, degraded, silent, not_connected"),
    ("last_seen", "RFC 3339", "last heartbeat by the broker's clock"),
    ("version", "text", "of the agent"),
    ("clock_skew_seconds", "number", "positive: the host is ahead"),
    ("backlog_events", "number", "spooled and not on Kafka"),
    ("dropped_security", "number", "events dropped since the spool was made; also _uptime, _usage"),
    SIMULATED,
];
const EVENTS: &[Field] = &[
    ("time", "RFC 3339", "when it happened, by the source"),
    AGENCY,
    ("host", "text", "the host that it speaks of"),
    (
        "class",
        "text",
        "OCSF class in snake case, or heartbeat, host_figures, check, gap, dossier, ...",
    ),
    ("class_uid", "number", "OCSF"),
    ("user", "text", "OCSF user.name"),
    ("src_ip", "text", "OCSF src_endpoint.ip"),
    ("src_port", "number", "OCSF src_endpoint.port"),
    ("status", "text", "success, failure, unknown; up, degraded, down"),
    ("message", "text", "OCSF message"),
    ("seq", "number", "the event's number on its agent's lane"),
    ("time_doubt", "text", "none, year, zone, observed: what the line did not say"),
    ("observed", "RFC 3339", "when the agent read it"),
    ("stored", "RFC 3339", "when the centre stored it"),
    ("raw", "text", "the line as it was read, secrets masked"),
    ("raw_cut_bytes", "number", "bytes that were cut away"),
    ("ocsf", "object", "all further fields by their OCSF or OpenTelemetry name"),
    SIMULATED,
];
const INCIDENTS: &[Field] = &[
    ("id", "number", "the incident's number"),
    AGENCY,
    ("state", "text", "new, in_progress, on_hold, resolved, closed"),
    ("severity", "text", "critical (M1), high, medium, low (M4)"),
    ("rule", "text", "the rule that found it"),
    ("title", "text", "in the language asked for"),
    ("entity", "text", "what it is about: an address, check, agent, agency"),
    ("owner", "text", "the one person who has it"),
    ("count", "number", "events that match"),
    ("agencies", "list", "all agencies it touches"),
    ("unserved_per_minute", "number", "dossiers; null: nobody can say, which is not zero"),
    (
        "clocks",
        "list",
        "kind (answer, solve), state (running, paused, met, breached), due, left_seconds, limit_seconds, calendar, ended, doubt",
    ),
    ("escalations", "list", "clock, level, role, time: who was told because a clock ran out"),
    ("reports", "list", "duty, sent, actor, to, reference: what was reported by law"),
    ("hidden_until", "RFC 3339", "left out of lists until then; also hidden_by, hidden_reason"),
    ("merged_into", "number", "the incident that took it in"),
    ("split_from", "number", "the incident it was split from"),
    ("opened_at", "RFC 3339", "when the centre opened it"),
    ("updated_at", "RFC 3339", "its last step"),
    ("duration_seconds", "number", "from the first event to its end, or to now"),
    (
        "verdict",
        "text",
        "false_positive, true_positive, benign, test, insufficient_data, duplicate",
    ),
    SIMULATED,
];
const HANDOVER: &[Field] = &[
    ("id", "number", "the incident's number; all that is open, and all that changed"),
    ("severity", "text", "critical (M1), high, medium, low (M4)"),
    ("state", "text", "new, in_progress, on_hold, resolved, closed"),
    ("title", "text", "in the language asked for"),
    ("owner", "text", "the one person who has it"),
    ("agencies", "list", "all agencies it touches"),
    ("unserved_per_minute", "number", "dossiers; null: nobody can say"),
    ("deadline", "RFC 3339", "until when"),
    ("task", "text", "what is to be done"),
    ("note", "text", "the last one"),
    ("result", "text", "how it was put right"),
    ("hidden_until", "RFC 3339", "null: it is not hidden"),
    ("changes", "list", "steps since: time of the nation's clock, who, what"),
];
const USAGE: &[Field] = &[
    AGENCY,
    ("indicator", "text", "id of the indicator"),
    ("numerator", "number", "null: not measured, which is not zero"),
    ("denominator", "number", "null for counts"),
    ("percent", "number", "null without a denominator"),
    ("age_seconds", "number", "of the newest event in it"),
    ("doubt", "text", "empty, approximate, note, disputed"),
    ("verdict", "text", "of the KPI court"),
    ("agencies_missing", "number", "connected agencies that gave nothing to it"),
];
const AGENCIES: &[Field] = &[
    AGENCY,
    (
        "state",
        "text",
        "down, under_attack, silent, degraded, unknown, maintenance, not_connected, excluded, ok",
    ),
    ("service", "text", "lamp D"),
    ("security", "text", "lamp A"),
    ("usage", "text", "lamp S"),
    ("incidents", "number", "open"),
    ("hosts_heard", "number", "of hosts_enrolled"),
    ("events_held", "number", "of events_numbered, since midnight +07:00"),
    ("unserved_per_minute", "number", "estimate; null: unknown"),
];
const SYSTEMS: &[Field] = &[
    AGENCY,
    ("system", "text", "id in the registry"),
    ("grade", "number", "1 essential to 4 general"),
    ("state", "text", "as for agencies"),
    ("minutes_up", "number", "of minutes_open, since midnight +07:00; null: no probe"),
    (
        "minutes_maintained",
        "number",
        "since midnight +07:00; not meant to be open, in neither of both",
    ),
];
const CHECKS: &[Field] = &[
    AGENCY,
    ("name", "text", "of the check"),
    ("kind", "text", "http, tcp, tls, dns, step"),
    ("state", "text", "ok, degraded, down, unknown (overdue)"),
    ("total_seconds", "number", "of the last run; phases: dns, connect, tls, first_byte"),
    ("up", "number", "of runs, the last 30"),
];
const FLOW: &[Field] = &[
    AGENCY,
    ("delay_p99_seconds", "number", "from reading to storing"),
    ("kafka_lag", "number", "records not stored"),
    ("lag_seconds", "number", "age of the oldest of them; 0: all came within 5 s; null: not known"),
    ("lag_bytes", "number", "of them, in part estimated; null: not known"),
    (
        "oldest_event_seconds",
        "number",
        "age of the oldest event that is not stored, of oldest_agency; null: not known",
    ),
    (
        "incident_delay_p99_seconds",
        "number",
        "from events to the incidents they opened; null: none was opened",
    ),
    ("events_lost", "number", "numbered and known to be gone, last 24 h"),
];
const GAPS: &[Field] = &[
    AGENCY,
    ("time", "RFC 3339", "when the centre knew of it"),
    ("lane", "text", "security, uptime, usage"),
    (
        "reason",
        "text",
        "overflow, damage, truncation, removed; expired: Kafka gave records up before they were stored (agent and numbers are a partition and its offsets); topic-renewed; unopened: records that cannot be opened were passed over; unexplained: the agent has not told why",
    ),
    ("events", "number", "that are missing; null: nobody knows how many"),
    ("bytes", "number", "of a log that could not be read; null: not known"),
    (
        "first_seq",
        "number",
        "number of the first; null: what is missing had no number yet; also last_seq",
    ),
    (
        "first_observed",
        "RFC 3339",
        "when the first of them was read, by the agent's clock; also last_observed",
    ),
    ("source", "text", "what could not be read, where the agent names it"),
];
const DEAD: &[Field] = &[
    AGENCY,
    ("reason", "text", "undecodable, identity, wrong-topic, too-large, ..."),
    ("offset", "number", "of the record"),
    ("state", "text", "open, replayed or dropped"),
];
const NOTIFICATIONS: &[Field] = &[
    ("time", "RFC 3339", "when what is told happened"),
    ("state", "text", "waiting, sending, sent, given-up, dropped or withheld"),
    ("channel", "text", "the channel's name in [notify]"),
    ("event", "text", "opened, escalated, breached, handed-over, resolved, digest, ..."),
    ("incident", "number", "of which incident; null: of none"),
    ("severity", "text", "M1 to M4"),
    AGENCY,
    ("sent", "RFC 3339", "when the place took it; null: it did not"),
    ("recipients", "text", "addresses of a mail, with blanks between"),
    ("tlp", "text", "clear, green, amber, amber+strict or red"),
    ("attempts", "number", "tries so far"),
    ("next_try", "RFC 3339", "not before; null: nothing is to be tried"),
    ("error", "text", "why the last try failed, or why it is not sent"),
    ("title", "text", "the incident's, in the language asked for"),
    ("route", "text", "by which routes"),
    ("actor", "text", "who had it sent again or dropped; also why"),
    ("id", "text", "its name; see vonggac-collector notify"),
];
const SAVED: &[Field] = &[
    ("name", "text", "the search's name; one owner has it once for an agency"),
    ("owner", "text", "who saved it"),
    ("agency", "text", "code of the agency that it is limited to; empty: none"),
    ("line", "text", "the search as it is typed on the events screen"),
    ("changed", "RFC 3339", "its last change; also created"),
    ("id", "text", "stays when the name changes"),
];
const SPREAD: &[Field] = &[
    AGENCY,
    ("count", "number", "events"),
    ("hosts", "number", "hosts"),
    ("successes", "number", "events with success"),
];

const RECEIPTS: &[Field] = &[
    AGENCY,
    ("host", "text", "the agent's host"),
    ("agent", "text", "the agent's name, made once"),
    ("lane", "text", "security, uptime, usage"),
    ("first_seq", "number", "the lowest number in the span; also last_seq"),
    ("events", "number", "that are held, each once"),
    ("missing", "number", "numbers between them that are not"),
    ("batches", "number", "records that brought them; sealed: those with a seal"),
    ("receipts", "number", "hours of the span with a signed receipt"),
    ("gaps", "list", "as the screen gaps, and waiting: behind what was sent ahead of it"),
];
const VERIFY: &[Field] = &[
    (
        "fault",
        "text",
        "removed, changed, added: a row; disguised, batch, seal, receipt: what was written down of a batch; of a bundle also file, certificate, manifest, root, key",
    ),
    AGENCY,
    ("host", "text", "the agent's host; also agent, lane"),
    ("seq", "number", "the event's number; of a whole batch its first"),
    ("topic", "text", "where the record stood on Kafka; also partition, offset"),
    ("index", "number", "the place in the record; null: all of it"),
    ("file", "text", "of a bundle alone: which of its files"),
];

const AUDIT: &[Field] = &[
    ("time", "RFC 3339", "when the call began"),
    ("who", "text", "the person, as their certificate names them"),
    ("role", "text", "as what; empty: they were not let in"),
    ("call", "text", "sql, act, export, ... or a command of the centre's own program"),
    ("outcome", "text", "ok, begun, left (nobody waited for the end), or why not"),
    ("rows", "number", "that were answered"),
    (
        "agency",
        "text",
        "about which agencies: codes with a space between them; empty: none that is known",
    ),
    ("words", "text", "what was asked for"),
    ("address", "text", "from where; also serial: of the certificate"),
    ("microseconds", "number", "how long it took"),
    ("chain", "text", "which collector wrote it down; also number, hash: its place there"),
];
const DUTIES: &[Field] = &[
    ("duty", "text", "the name that a report is written down for"),
    ("name", "text", "in the language asked for"),
    (
        "state",
        "text",
        "running, late, done, done-late, waiting (not begun), void (judged to be none), standing",
    ),
    ("due", "RFC 3339", "null: not begun, or without an end"),
    ("law", "text", "also article; empty: not known"),
    ("confidence", "text", "how sure it is: verified, not-verified-after-..., model-only, ..."),
    ("kind", "text", "deadline, form, calendar, standing, retention, scope, review"),
    ("starts_on", "text", "what it begins with; also started: when that was"),
    ("limit", "text", "as the registry has it: P5D, PT0S, 06-20"),
    ("reporter", "text", "the role that owes it; recipients: to whom; empty: not known"),
    ("applies_from", "text", "first day; applies_to: the last one; empty: not known"),
    ("reports", "list", "sent, actor, to, reference, told: what was reported for it"),
];

const BREAK_GLASS: &[Field] = &[
    ("id", "text", "its beginning names it, too"),
    AGENCY,
    ("what", "text", "export or pseudonyms"),
    (
        "state",
        "text",
        "asked, open, refused, ended, expired (it was open), lapsed (nobody answered)",
    ),
    ("requester", "text", "who asked; answerer: who confirmed or refused it, ender: who ended it"),
    ("reason", "text", "why"),
    ("asked", "RFC 3339", "when; also answered, until, ended; null: it was not"),
    ("valid_seconds", "number", "for how long, from the confirmation on"),
    ("told_opened", "boolean", "the agency was told that it opened; told_over: that it is over"),
];

const QUIET: &[Field] = &[
    ("id", "text", "its beginning names it, too"),
    ("kind", "text", "suppression or maintenance"),
    ("state", "text", "coming, running, ended (by somebody), over"),
    ("owner", "text", "who answers for it; added_by: who added it, ended_by: who ended it"),
    ("reason", "text", "why; end_reason: why it was ended"),
    (
        "rule",
        "text",
        "what it is about, with agency, host, user, address, entity, system; empty: any",
    ),
    ("gravest", "text", "the gravest severity that it withholds"),
    ("from", "RFC 3339", "until: its end; added and ended: when somebody did so"),
    ("withheld", "number", "signals, each once; withheld_events: the events that they spoke of"),
    ("last", "RFC 3339", "the last of them; last_rule, last_entity, last_agency: what it was"),
];

const WHY: &[Field] = &[
    ("rule", "text", "empty: of no rule alone"),
    (
        "reason",
        "text",
        "threshold, suppression, maintenance, open, not-loaded, refused, no-source, not-learnt, silent, not-connected, excluded",
    ),
    ("entity", "text", "about whom; of several the last one"),
    ("why", "text", "the reason as a sentence, in the language asked for"),
    (
        "count",
        "number",
        "what its matches weigh, signals that were withheld, or events on the incident",
    ),
    ("wanted", "number", "what they have to weigh within window_seconds before it fires"),
    ("last", "RFC 3339", "the newest of them"),
    ("period", "text", "the quiet period; incident: the open incident; detail: what else is known"),
];

pub(super) fn of(screen: &str) -> Option<Vec<Row>> {
    let fields = match screen {
        "agencies" | "health" => AGENCIES,
        "systems" => SYSTEMS,
        "agents" => AGENTS,
        "checks" => CHECKS,
        "events" => EVENTS,
        "incidents" => INCIDENTS,
        "handover" => HANDOVER,
        "usage" => USAGE,
        "flow" => FLOW,
        "gaps" => GAPS,
        "dead" => DEAD,
        "notifications" => NOTIFICATIONS,
        "saved" => SAVED,
        "spread" => SPREAD,
        "duties" => DUTIES,
        "receipts" => RECEIPTS,
        "verify" => VERIFY,
        "audit" => AUDIT,
        "break-glass" => BREAK_GLASS,
        "quiet" => QUIET,
        "why" => WHY,
        _ => return None,
    };
    let rows = fields.iter().filter_map(|(name, kind, meaning)| {
        match json!({ "name": name, "type": kind, "meaning": meaning }) {
            Value::Object(row) => Some(row),
            _ => None,
        }
    });
    Some(rows.collect())
}

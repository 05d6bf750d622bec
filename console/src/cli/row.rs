//! Messages of the collector as rows with stable names.

use serde_json::{Value, json};
use vonggac_wire::{
    Time,
    proto::{
        Agency, Agent, CheckRow, DeadLetter, Escalation, EventRow, Flow, GapRow, Incident,
        Indicator, Reported, SavedSearch, ServiceClock, SpreadRow, System, Transition,
    },
};

use crate::words::Words;
use vonggac_answer::rows::{Row, row};

pub(super) fn time(nanos: Option<i64>) -> Value {
    nanos.filter(|nanos| *nanos > 0).map_or(Value::Null, |nanos| json!(Time(nanos).to_string()))
}

/// A time as text; empty: there is none.
pub(super) fn text_of(nanos: i64) -> String {
    if nanos > 0 { Time(nanos).to_string() } else { String::new() }
}

pub(super) fn agency(agency: &Agency, words: &Words) -> Row {
    row(json!({
        "agency": agency.code,
        "name": words.pick(&agency.name_vi, &agency.name_en),
        "state": agency.state().name(),
        "service": agency.service().name(),
        "security": agency.security().name(),
        "usage": agency.usage().name(),
        "incidents": agency.open_incidents,
        "hosts_heard": agency.hosts_heard,
        "hosts_enrolled": agency.hosts_enrolled,
        "last_heard": time(agency.last_heard_unix_nano),
        "unserved_per_minute": agency.unserved.as_ref().map(|estimate| estimate.value),
        "events_held": agency.events_held,
        "events_numbered": agency.events_numbered,
        "excluded": agency.excluded_reason,
    }))
}

pub(super) fn system(system: &System, words: &Words) -> Row {
    row(json!({
        "agency": system.agency,
        "system": system.id,
        "name": words.pick(&system.name_vi, &system.name_en),
        "grade": system.grade,
        "state": system.state().name(),
        "hosts_heard": system.hosts_heard,
        "hosts_enrolled": system.hosts_enrolled,
        "minutes_up": system.minutes_up,
        "minutes_open": system.minutes_open,
        "minutes_maintained": system.minutes_maintained,
        "incidents": system.open_incidents,
    }))
}

pub(super) fn agent(agent: &Agent) -> Row {
    row(json!({
        "agency": agent.agency,
        "host": agent.host,
        "agent": agent.agent,
        "system": agent.system,
        "state": agent.state().name(),
        "last_seen": time(agent.last_heard_unix_nano),
        "version": agent.version,
        "clock_skew_seconds": agent.clock_skew_seconds,
        "backlog_events": agent.backlog_events,
        "spool_bytes": agent.spool_bytes,
        "dropped_security": agent.dropped_security,
        "dropped_uptime": agent.dropped_uptime,
        "dropped_usage": agent.dropped_usage,
        "cpu_utilization": agent.cpu_utilization,
        "memory_utilization": agent.memory_utilization,
        "disk_utilization": agent.disk_utilization,
        "rss_bytes": agent.agent_rss_bytes,
        "simulated": agent.simulated,
    }))
}

pub(super) fn check(check: &CheckRow) -> Row {
    row(json!({
        "agency": check.agency,
        "system": check.system,
        "host": check.host,
        "name": check.name,
        "kind": check.kind,
        "target": check.target,
        "state": check.state().name(),
        "detail": check.detail,
        "dns_seconds": check.dns_seconds,
        "connect_seconds": check.connect_seconds,
        "tls_seconds": check.tls_seconds,
        "first_byte_seconds": check.first_byte_seconds,
        "total_seconds": check.total_seconds,
        "up": check.recent_up,
        "runs": check.recent_all,
        "last_run": time(check.last_time_unix_nano),
        "certificate_not_after": time(check.certificate_not_after_unix_nano),
    }))
}

pub(super) fn event(event: &EventRow) -> Row {
    row(json!({
        "time": time(Some(event.time_unix_nano)),
        "agency": event.agency,
        "host": event.host,
        "class": event.class,
        "class_uid": event.class_uid,
        "user": event.user,
        "src_ip": event.src_ip,
        "src_port": event.src_port,
        "status": event.status,
        "message": event.message,
        "system": event.system,
        "agent": event.agent,
        "lane": event.lane,
        "seq": event.seq,
        "format": event.format,
        "source": event.source,
        "source_offset": event.source_offset,
        "time_doubt": event.time_doubt,
        "observed": time(Some(event.observed_time_unix_nano)),
        "stored": time(Some(event.stored_time_unix_nano)),
        "raw": event.raw,
        "raw_cut_bytes": event.raw_cut_bytes,
        "simulated": event.simulated,
        "ocsf": event.fields,
    }))
}

pub(super) fn incident(incident: &Incident, words: &Words, now: Time) -> Row {
    let entity = incident.entity.clone().unwrap_or_default();
    row(json!({
        "id": incident.id,
        "agency": incident.agency,
        "state": incident.current_state().name(),
        "severity": incident.level().name(),
        "rule": incident.rule,
        "title": words.pick(&incident.title_vi, &incident.title_en),
        "entity": entity.value,
        "entity_kind": entity.kind,
        "owner": incident.owner,
        "count": incident.count,
        "agencies": incident.agencies,
        "systems": incident.systems,
        "opened_at": time(Some(incident.opened_unix_nano)),
        "updated_at": time(Some(incident.updated_unix_nano)),
        "first_at": time(Some(incident.first_time_unix_nano)),
        "last_at": time(Some(incident.last_time_unix_nano)),
        "resolved_at": time(incident.resolved_unix_nano),
        "closed_at": time(incident.closed_unix_nano),
        "duration_seconds": incident.duration(now).as_secs_f64(),
        "deadline": time(incident.deadline_unix_nano),
        "deadline_given": incident.deadline_given,
        "clocks": clocks(incident),
        "escalations": escalations(incident),
        "reports": reports(incident),
        "responsible_agency": incident.responsible_agency,
        "task": incident.task,
        "result": incident.result,
        "verdict": incident.current_verdict().map(vonggac_wire::proto::Verdict::name),
        "note": incident.last_note,
        "unserved_per_minute": incident.unserved.as_ref().map(|estimate| estimate.value),
        "hidden_until": time(incident.hidden_until_unix_nano),
        "hidden_by": incident.hidden_by,
        "hidden_reason": incident.hidden_reason,
        "merged_into": (incident.merged_into != 0).then_some(incident.merged_into),
        "split_from": (incident.split_from != 0).then_some(incident.split_from),
        "reopened": incident.reopened,
        "version": incident.version,
        "simulated": incident.simulated,
    }))
}

/// As text in a table, as objects in JSON.
fn clocks(incident: &Incident) -> Value {
    let clock = |clock: &ServiceClock| {
        json!({
            "kind": clock.kind,
            "state": clock.state().name(),
            "due": time(clock.due_unix_nano),
            "left_seconds": clock.left_seconds,
            "limit_seconds": clock.limit_seconds,
            "calendar": clock.calendar,
            "ended": time(clock.ended_unix_nano),
            "doubt": clock.doubt,
        })
    };
    incident.clocks.iter().map(clock).collect()
}

fn escalations(incident: &Incident) -> Value {
    let told = |one: &Escalation| {
        let at = time(Some(one.time_unix_nano));
        json!({ "clock": one.clock, "level": one.level, "role": one.role, "time": at })
    };
    incident.escalations.iter().map(told).collect()
}

fn reports(incident: &Incident) -> Value {
    let report = |one: &Reported| {
        json!({
            "duty": one.duty,
            "sent": time(Some(one.sent_unix_nano)),
            "actor": one.actor,
            "to": one.to,
            "reference": one.reference,
        })
    };
    incident.reports.iter().map(report).collect()
}

pub(super) fn step(step: &Transition) -> Row {
    row(json!({
        "id": step.incident,
        "version": step.version,
        "time": time(Some(step.time_unix_nano)),
        "actor": step.actor,
        "action": step.action,
        "text": step.text,
    }))
}

pub(super) fn indicator(indicator: &Indicator, words: &Words, now: Time) -> Row {
    let percent = match (indicator.numerator, indicator.denominator) {
        (Some(above), Some(below)) if below > 0.0 => {
            json!((above / below * 10_000.0).round() / 100.0)
        }
        _ => Value::Null,
    };
    let agency = if indicator.agency.is_empty() { "*" } else { &indicator.agency };
    row(json!({
        "agency": agency,
        "indicator": indicator.id,
        "name": words.pick(&indicator.name_vi, &indicator.name_en),
        "kind": indicator.kind,
        "numerator": indicator.numerator,
        "denominator": indicator.denominator,
        "percent": percent,
        "unit": indicator.unit,
        "age_seconds": indicator.newest_unix_nano.map(|newest| (now.seconds_since(Time(newest)).max(0.0) * 10.0).round() / 10.0),
        "doubt": indicator.doubt,
        "verdict": indicator.verdict,
        "agencies_counted": indicator.agencies_counted,
        "agencies_missing": indicator.agencies_missing,
    }))
}

pub(super) fn flow(flow: &Flow) -> Row {
    row(json!({
        "agency": "*",
        "events_per_second": flow.events_per_second,
        "delay_p50_seconds": flow.delay_p50_seconds,
        "delay_p99_seconds": flow.delay_p99_seconds,
        "kafka_lag": flow.kafka_lag,
        "lag_seconds": flow.lag_seconds,
        "lag_bytes": flow.lag_bytes,
        "oldest_event_seconds": flow.oldest_event_seconds,
        "oldest_agency": flow.oldest_agency,
        "partitions": flow.partitions_held,
        "events_held": flow.events_held,
        "events_numbered": flow.events_numbered,
        "events_waiting": flow.events_waiting,
        "events_lost": flow.events_lost,
        "duplicates_dropped": flow.duplicates_dropped,
        "dead_letters": flow.dead_letters_today,
        "insert_p99_seconds": flow.insert_p99_seconds,
        "agents_heard": flow.agents_heard,
        "agents_enrolled": flow.agents_enrolled,
        "incidents_open": flow.incidents_open,
        "incidents_new_10m": flow.incidents_new_10m,
        "incident_delay_p99_seconds": flow.incident_delay_p99_seconds,
        "signals_grouped": flow.signals_grouped,
        "detection_keys": flow.detection_keys,
        "collector_rss_bytes": flow.collector_rss_bytes,
        "store_bytes": flow.store_bytes,
        "kafka": flow.kafka().name(),
        "engine": flow.engine().name(),
        "engine_trouble": flow.engine_trouble,
        "engine_said": flow.engine_said,
        "engine_since": time((flow.engine_since_unix_nano != 0).then_some(flow.engine_since_unix_nano)),
    }))
}

pub(super) fn gap(gap: &GapRow) -> Row {
    let known = |nanos: i64| time((nanos != 0).then_some(nanos));
    row(json!({
        "time": time(Some(gap.time_unix_nano)),
        "agency": gap.agency,
        "host": gap.host,
        "lane": gap.lane,
        "reason": gap.reason,
        "events": (gap.events > 0).then_some(gap.events),
        "bytes": (gap.bytes > 0).then_some(gap.bytes),
        "first_seq": (gap.first_seq > 0).then_some(gap.first_seq),
        "last_seq": (gap.last_seq > 0).then_some(gap.last_seq),
        "first_observed": known(gap.first_observed_unix_nano),
        "last_observed": known(gap.last_observed_unix_nano),
        "source": gap.source,
    }))
}

pub(super) fn dead(letter: &DeadLetter) -> Row {
    row(json!({
        "time": time(Some(letter.time_unix_nano)),
        "agency": letter.agency,
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "bytes": letter.bytes,
        "state": letter.state,
        "settled": time((letter.settled_unix_nano != 0).then_some(letter.settled_unix_nano)),
        "actor": letter.actor,
    }))
}

pub(super) fn saved(search: &SavedSearch) -> Row {
    row(json!({
        "name": search.name,
        "owner": search.owner,
        "agency": search.agency,
        "line": search.line,
        "changed": time(Some(search.changed_unix_nano)),
        "created": time(Some(search.created_unix_nano)),
        "id": search.id,
    }))
}

pub(super) fn spread(spread: &SpreadRow) -> Row {
    row(json!({
        "agency": spread.agency,
        "count": spread.count,
        "hosts": spread.hosts,
        "successes": spread.successes,
        "first_at": time(Some(spread.first_unix_nano)),
        "last_at": time(Some(spread.last_unix_nano)),
    }))
}

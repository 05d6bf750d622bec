//! A row as consoles see it.

use vonggac_wire::proto;

use super::EventRow;

impl EventRow {
    /// All of it; what has no column of the message's own stands in its fields.
    #[must_use]
    pub fn into_proto(self) -> proto::EventRow {
        let row = self;
        let mut fields: std::collections::BTreeMap<String, String> =
            row.fields.into_iter().collect();
        let texts = [
            ("status_detail", row.status_detail),
            ("actor.user.name", row.actor_user),
            ("service.name", row.service),
            ("process.name", row.process),
            ("process.cmd_line", row.command),
            ("http_request.http_method", row.http_method),
            ("http_request.url", row.url),
            ("http_request.user_agent", row.user_agent),
            ("check.name", row.check_name),
            ("check.target", row.check_target),
            ("service", row.usage_service),
            ("step", row.step),
        ];
        fields.extend(
            texts
                .into_iter()
                .filter(|(_, text)| !text.is_empty())
                .map(|(name, text)| (name.into(), text)),
        );
        let numbers = [
            ("process.pid", u64::from(row.pid)),
            ("http_response.code", u64::from(row.http_status)),
            ("http_response.length", row.response_bytes),
            ("score", u64::from(row.score)),
            ("activity_id", u64::from(row.activity_id)),
            ("severity_id", u64::from(row.severity_id)),
        ];
        fields.extend(
            numbers
                .into_iter()
                .filter(|(_, number)| *number > 0)
                .map(|(name, number)| (name.into(), number.to_string())),
        );
        let flags = [
            ("online", row.online),
            ("full_process", row.full_process),
            ("digitised", row.digitised),
            ("on_time", row.on_time),
            ("electronic", row.electronic),
        ];
        fields.extend(
            flags.into_iter().filter_map(|(name, flag)| Some((name.into(), flag?.to_string()))),
        );
        if row.total_seconds > 0.0 {
            fields.insert("total.seconds".into(), row.total_seconds.to_string());
        }
        proto::EventRow {
            time_unix_nano: row.time.saturating_mul(1000),
            observed_time_unix_nano: row.observed.saturating_mul(1000),
            stored_time_unix_nano: row.stored.saturating_mul(1000),
            agency: row.agency,
            host: row.host,
            system: row.system,
            agent: row.agent,
            lane: row.lane,
            seq: row.seq,
            class_uid: row.class_uid,
            class: row.class,
            user: row.user,
            src_ip: row.src_ip,
            src_port: row.src_port.into(),
            status: row.status,
            message: row.message,
            raw: String::from_utf8_lossy(&row.raw).into_owned(),
            raw_cut_bytes: row.raw_cut_bytes,
            source: row.source,
            source_offset: row.source_offset,
            format: row.format,
            time_doubt: row.time_doubt,
            fields,
            simulated: row.simulated,
            topic: row.kafka_topic,
            partition: row.kafka_partition,
            offset: row.kafka_offset,
        }
    }
}

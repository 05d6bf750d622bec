//! A row with texts of its own: for whoever keeps it longer than its record.

use super::{Columns, EventRow};

impl From<Columns<'_>> for EventRow {
    fn from(columns: Columns<'_>) -> Self {
        Self {
            agency: columns.agency.into(),
            class: columns.class.into(),
            time: columns.time,
            observed: columns.observed,
            stored: columns.stored,
            host: columns.host.into(),
            system: columns.system.into(),
            agent: columns.agent.into(),
            lane: columns.lane.into(),
            seq: columns.seq,
            class_uid: columns.class_uid,
            activity_id: columns.activity_id,
            status: columns.status.into(),
            status_detail: columns.status_detail.into(),
            severity_id: columns.severity_id,
            user: columns.user.into(),
            actor_user: columns.actor_user.into(),
            src_ip: columns.src_ip,
            src_port: columns.src_port,
            service: columns.service.into(),
            process: columns.process.into(),
            pid: columns.pid,
            command: columns.command.into(),
            http_method: columns.http_method.into(),
            url: columns.url.into(),
            http_status: columns.http_status,
            user_agent: columns.user_agent.into(),
            response_bytes: columns.response_bytes,
            check_name: columns.check_name.into(),
            check_target: columns.check_target.into(),
            total_seconds: columns.total_seconds,
            usage_service: columns.usage_service.into(),
            step: columns.step.into(),
            online: columns.online,
            full_process: columns.full_process,
            digitised: columns.digitised,
            on_time: columns.on_time,
            electronic: columns.electronic,
            count: columns.count,
            score: columns.score,
            message: columns.message.into(),
            raw: columns.raw.to_vec(),
            raw_cut_bytes: columns.raw_cut_bytes,
            source: columns.source.into(),
            source_offset: columns.source_offset,
            format: columns.format.into(),
            time_doubt: columns.time_doubt.into(),
            simulated: columns.simulated,
            fields: columns
                .fields
                .into_iter()
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
            kafka_topic: columns.kafka_topic.into(),
            kafka_partition: columns.kafka_partition,
            kafka_offset: columns.kafka_offset,
            kafka_index: columns.kafka_index,
        }
    }
}

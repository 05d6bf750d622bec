//! What the morning's gravest incident owes: by service, and by law.

use std::time::Duration;

use vonggac_wire::{
    Time,
    proto::{ClockState, LegalClock, Notification, ServiceClock},
};

use crate::morning::now;

/// Of the gravest one: taken in time, to be solved by its deadline. Others are of before.
pub(crate) fn clocks(id: u64, due: Time) -> Vec<ServiceClock> {
    if id != 3_107 {
        return Vec::new();
    }
    let clock = |kind: &str, state: ClockState| ServiceClock {
        kind: kind.into(),
        state: state.into(),
        due_unix_nano: Some(due.0),
        ..ServiceClock::default()
    };
    vec![clock("answer", ClockState::Met), clock("solve", ClockState::Running)]
}

/// What the law wants of it.
pub(crate) fn duties() -> Vec<LegalClock> {
    let duty = |id: &str, names: (&str, &str), law: (&str, &str, &str), state: &str| LegalClock {
        id: id.into(),
        kind: "deadline".into(),
        name_vi: names.0.into(),
        name_en: names.1.into(),
        law_vi: law.0.into(),
        law_en: law.1.into(),
        article: law.2.into(),
        confidence: "not-verified-after-2026-07-01".into(),
        due_unix_nano: Some(now().plus(Duration::from_secs(5 * 86_400 - 1_380)).0),
        state: state.into(),
        ..LegalClock::default()
    };
    vec![
        duty(
            "incident-notice",
            ("Báo cáo sự cố", "Incident report by the system's operator"),
            ("Quyết định 05/2017/QĐ-TTg", "Decision 05/2017/QĐ-TTg", "11"),
            "running",
        ),
        duty(
            "incident-notice-network",
            ("Thông báo sự cố", "Incident notice under the response-network circular"),
            ("Thông tư 20/2017/TT-BTTTT", "Circular 20/2017/TT-BTTTT", "6;9"),
            "running",
        ),
    ]
}

/// What was told of an incident, newest first.
pub(crate) fn notes() -> Vec<Notification> {
    let note = |channel: &str, state: &str| Notification {
        channel: channel.into(),
        state: state.into(),
        time_unix_nano: now().0,
        ..Notification::default()
    };
    vec![note("mail", "sent"), note("chat", "given-up"), note("mail", "waiting")]
}

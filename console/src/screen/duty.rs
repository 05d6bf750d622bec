//! Clocks in words: those of service, and those that laws set.

use vonggac_wire::{
    Time,
    proto::{ClockState, Incident, LegalClock, ServiceClock},
};

use crate::{
    wording,
    words::{Words, named},
};

/// A law's clock in one line: deadline or what became of it, how sure that is, law and article, and at the end the name, which may be cut.
pub(crate) fn line(words: &Words, clock: &LegalClock, now: Time) -> String {
    let name = words.pick(&clock.name_vi, &clock.name_en);
    let confidence = if clock.confidence.starts_with("not-verified") {
        words.get("incident-unverified")
    } else {
        named(words, "confidence", &clock.confidence)
    };
    words.with(
        "duty-line",
        &[
            ("name", name),
            ("state", &state(words, clock, now)),
            ("confidence", &confidence),
            ("law", &law(words, clock)),
        ],
    )
}

/// Deadlines that an incident shows, the most urgent first.
pub(crate) fn shown(clocks: &[LegalClock]) -> Vec<&LegalClock> {
    let order = |clock: &LegalClock| match clock.state.as_str() {
        "late" => 0,
        "running" | "" => 1,
        "done-late" => 2,
        "done" => 3,
        "waiting" => 4,
        _ => 5,
    };
    let mut shown: Vec<&LegalClock> =
        clocks.iter().filter(|clock| clock.kind != "form" && clock.state != "void").collect();
    shown.sort_by_key(|clock| (order(clock), clock.due_unix_nano));
    shown
}

fn state(words: &Words, clock: &LegalClock, now: Time) -> String {
    let due = clock.due_unix_nano.map(Time);
    let shown = due.map_or_else(|| words.get("no-data"), wording::day_minute);
    // A collector of before says the deadline alone.
    let state = if clock.state.is_empty() { "running" } else { clock.state.as_str() };
    let late =
        wording::duration(words.lang(), due.map_or_else(Default::default, |at| now.since(at)));
    let sent = clock.reports.iter().map(|report| report.sent_unix_nano).min();
    let time = sent.map_or_else(String::new, |at| wording::day_minute(Time(at)));
    let values = [("due", shown.as_str()), ("left", late.as_str()), ("time", time.as_str())];
    let id = format!("duty-{state}");
    let known = words.with(&id, &values);
    if known == id { state.to_owned() } else { known }
}

/// The number of a law with its article; its kind stands in the number.
fn law(words: &Words, clock: &LegalClock) -> String {
    let whole = words.pick(&clock.law_vi, &clock.law_en);
    if whole.is_empty() {
        return clock.citation.clone();
    }
    let number = whole.find(|c: char| c.is_ascii_digit()).map_or(whole, |at| &whole[at..]);
    if clock.article.is_empty() {
        return number.to_owned();
    }
    let article = clock.article.replace(';', ", ");
    words.with("duty-law", &[("law", number), ("article", &article)])
}

/// The clocks of service and who was told; `None`: the incident has none.
pub(crate) fn service(words: &Words, incident: &Incident, now: Time) -> Option<String> {
    if incident.clocks.is_empty() {
        return None;
    }
    let mut told: Vec<String> =
        incident.clocks.iter().map(|clock| one(words, clock, now)).collect();
    if let Some(last) = incident.escalations.last() {
        let role = named(words, "role", &last.role);
        told.push(format!("{} {role}", words.get("action-escalated")));
    }
    Some(told.join("; "))
}

fn one(words: &Words, clock: &ServiceClock, now: Time) -> String {
    let name = named(words, "clock", &clock.kind);
    let due = Time(clock.due_unix_nano.unwrap_or(now.0));
    let span = |duration| wording::duration(words.lang(), duration);
    let text = match clock.state() {
        ClockState::Paused => {
            let left = span(std::time::Duration::from_secs(clock.left_seconds));
            words.with("clock-paused", &[("clock", &name), ("left", &left)])
        }
        ClockState::Met => words.with("clock-met", &[("clock", &name)]),
        ClockState::Breached if clock.ended_unix_nano.is_some() => {
            words.with("clock-breached-ended", &[("clock", &name)])
        }
        _ if due <= now => {
            let late = span(now.since(due));
            words.with("clock-breached", &[("clock", &name), ("late", &late)])
        }
        _ => {
            let left = span(due.since(now));
            words.with("clock-running", &[("clock", &name), ("left", &left)])
        }
    };
    if clock.doubt.is_empty() { text } else { format!("{text} {}", words.get("clock-doubt")) }
}

#[cfg(test)]
mod tests {
    use vonggac_wire::proto::Reported;

    use super::*;
    use crate::words::Lang;

    const HOUR: i64 = 3_600_000_000_000;

    fn now() -> Time {
        "2026-11-24T09:41:07+07:00".parse().unwrap()
    }

    fn clock(kind: &str, state: ClockState, due: Option<i64>) -> ServiceClock {
        ServiceClock {
            kind: kind.into(),
            state: state.into(),
            due_unix_nano: due.map(|hours| now().0 + hours * HOUR),
            ..ServiceClock::default()
        }
    }

    #[test]
    fn each_state_of_a_clock_of_service_has_its_words() {
        let words = crate::words::of(Lang::Vi);
        let told = |clock: ServiceClock| one(&words, &clock, now());
        assert_eq!(told(clock("answer", ClockState::Running, Some(2))), "nhận còn 2 g");
        assert_eq!(told(clock("answer", ClockState::Met, Some(2))), "nhận ✓");
        assert_eq!(told(clock("solve", ClockState::Breached, Some(-2))), "khắc phục quá 2 g");
        let paused = ServiceClock { left_seconds: 60, ..clock("solve", ClockState::Paused, None) };
        assert_eq!(told(paused), "khắc phục tạm dừng, còn 1 ph");
        let ended = ServiceClock {
            ended_unix_nano: Some(now().0),
            ..clock("solve", ClockState::Breached, Some(-2))
        };
        assert_eq!(told(ended), "khắc phục trễ");
        let doubt = ServiceClock {
            doubt: "no-holidays-2029".into(),
            ..clock("solve", ClockState::Running, Some(2))
        };
        assert!(told(doubt).contains("chưa có lịch nghỉ"));
    }

    fn notice(state: &str, due: i64) -> LegalClock {
        LegalClock {
            name_vi: "Báo cáo sự cố".into(),
            law_vi: "Quyết định 05/2017/QĐ-TTg".into(),
            article: "11".into(),
            confidence: "not-verified-after-2026-07-01".into(),
            kind: "deadline".into(),
            state: state.into(),
            due_unix_nano: Some(now().0 + due * HOUR),
            ..LegalClock::default()
        }
    }

    #[test]
    fn a_law_is_told_with_its_deadline_its_article_and_how_sure_it_is() {
        let words = crate::words::of(Lang::Vi);
        let told = |clock: LegalClock| line(&words, &clock, now());
        assert_eq!(
            told(notice("running", 120)),
            "29/11 09:41 (chưa xác minh) 05/2017/QĐ-TTg đ. 11: Báo cáo sự cố"
        );
        assert!(told(notice("late", -3)).contains("QUÁ 3 g"));
        let sent = Reported { sent_unix_nano: now().0, ..Reported::default() };
        let done = LegalClock { reports: vec![sent], ..notice("done", 3) };
        assert!(told(done).contains("đã báo 24/11 09:41"));
        let old =
            LegalClock { citation: "Decision 05/2017, art. 11".into(), ..LegalClock::default() };
        assert!(told(old).contains("Decision 05/2017, art. 11"));
    }

    #[test]
    fn what_is_late_comes_first_and_what_is_not_owed_is_not_shown() {
        let form = LegalClock { kind: "form".into(), ..notice("standing", 0) };
        let clocks = [notice("void", 1), notice("running", 2), notice("late", -1), form];
        let states: Vec<&str> = shown(&clocks).iter().map(|clock| clock.state.as_str()).collect();
        assert_eq!(states, ["late", "running"]);
    }
}

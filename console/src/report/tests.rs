use vonggac_document::{markdown, odt, pdf};
use vonggac_wire::proto::{
    Estimate, EventRow, Incident, IncidentDetail, IncidentState, LegalClock, Reported,
    ServiceClock, Transition, Verdict,
};

use super::*;
use crate::words::{self, Lang};

const DAY: i64 = 86_400 * 1_000_000_000;

fn now() -> Time {
    "2026-11-24T09:41:07+07:00".parse().unwrap()
}

fn agencies() -> Vec<Agency> {
    vec![Agency {
        code: "tk-48".into(),
        name_vi: "Thành phố Đà Nẵng".into(),
        name_en: "Da Nang".into(),
        ..Agency::default()
    }]
}

fn notice() -> LegalClock {
    LegalClock {
        id: "incident-notice".into(),
        name_vi: "Báo cáo sự cố".into(),
        name_en: "Incident report".into(),
        law_vi: "Quyết định 05/2017/QĐ-TTg".into(),
        article: "11".into(),
        confidence: "not-verified-after-2026-07-01".into(),
        kind: "deadline".into(),
        due_unix_nano: Some(now().0 + 5 * DAY),
        recipient_roles: vec!["national-coordinator".into()],
        state: "running".into(),
        ..LegalClock::default()
    }
}

fn step(action: &str, actor: &str, text: &str) -> Transition {
    Transition {
        time_unix_nano: now().0 - 60_000_000_000,
        actor: actor.into(),
        action: action.into(),
        text: text.into(),
        ..Transition::default()
    }
}

fn incident() -> Incident {
    Incident {
        id: 3_107,
        severity: 1,
        state: IncidentState::New.into(),
        rule: "service-down".into(),
        title_vi: "Cổng không trả lời".into(),
        agencies: vec!["tk-48".into()],
        responsible_agency: "tk-48".into(),
        first_time_unix_nano: now().0 - 1_380_000_000_000,
        opened_unix_nano: now().0 - 1_370_000_000_000,
        count: 48_112,
        ..Incident::default()
    }
}

fn detail(incident: Incident) -> IncidentDetail {
    IncidentDetail {
        incident: Some(incident),
        timeline: vec![step("opened", "system", ""), step("counted", "system", "")],
        clocks: vec![notice()],
        ..IncidentDetail::default()
    }
}

fn made(kind: Kind, detail: &IncidentDetail) -> Document {
    let agencies = agencies();
    let names = Names { agencies: &agencies, systems: &[] };
    let facts = Facts { detail, names, author: "Lan", now: now() };
    draft(&words::of(Lang::Vi), kind, &facts).unwrap()
}

fn text(kind: Kind, incident: Incident) -> String {
    markdown::write(&made(kind, &detail(incident)))
}

#[test]
fn what_is_not_known_is_marked_in_its_place_and_told_again_at_the_end() {
    let report = text(Kind::Initial, incident());
    for gap in ["số văn bản", "nguyên nhân", "thời điểm nhận xử lý", "biện pháp đã thực hiện"]
    {
        assert!(report.contains(&format!("[CHƯA CÓ: {gap}]")), "{gap}\n{report}");
        assert!(report.contains(&format!("\n- {gap}\n")), "{gap}\n{report}");
    }
    let document = made(Kind::Initial, &detail(incident()));
    let marked = report.matches("[CHƯA CÓ: ").count();
    assert!(gaps(&document) > 5 && marked >= gaps(&document));
    assert!(
        report.contains("Thành phố Đà Nẵng (tk\\-48)")
            || report.contains("Thành phố Đà Nẵng (tk-48)")
    );
    assert!(report.contains("Quyết định 05/2017/QĐ-TTg, điều 11; chưa xác minh sau 01/07/2026"));
}

#[test]
fn what_is_known_is_written_and_no_longer_lacking() {
    let full = Incident {
        owner: "Trần Thị Lan".into(),
        acknowledged_unix_nano: Some(now().0),
        resolved_unix_nano: Some(now().0),
        result: "đã chuyển sang cụm dự phòng".into(),
        verdict: Verdict::TruePositive.into(),
        unserved: Some(Estimate { value: 212.0, low: 170.0, high: 260.0 }),
        reports: vec![Reported::default()],
        ..incident()
    };
    let mut detail = detail(full);
    detail.timeline.push(step("noted", "Lan", "đang chuyển cụm"));
    detail.clocks[0].reports = vec![Reported {
        reference: "12/BC-STTTT".into(),
        sent_unix_nano: now().0,
        ..Reported::default()
    }];
    let report = markdown::write(&made(Kind::Final, &detail));
    for known in [
        "BÁO CÁO KẾT THÚC",
        "Trần Thị Lan",
        "đã chuyển sang cụm",
        "212",
        "12/BC-STTTT",
        "đang chuyển cụm",
        "đúng",
    ] {
        assert!(report.contains(known), "{known}\n{report}");
    }
    assert!(!report.contains("[CHƯA CÓ: kết quả") && !report.contains("[CHƯA CÓ: kết luận"));
    assert!(report.contains("[CHƯA CÓ: nguyên nhân]"), "no field of the book says it");
}

#[test]
fn each_kind_asks_for_what_is_its_own() {
    let (first, last) = (text(Kind::Initial, incident()), text(Kind::Final, incident()));
    assert!(first.contains("đề nghị hỗ trợ") && !first.contains("bài học"));
    assert!(last.contains("[CHƯA CÓ: kết quả xử lý]") && last.contains("bài học"));
    assert!(text(Kind::Progress, incident()).contains("BÁO CÁO DIỄN BIẾN"));
    let simulated = Incident { simulated: true, ..incident() };
    assert!(text(Kind::Initial, simulated).contains("MÔ PHỎNG"));
}

#[test]
fn lines_of_logs_are_text_in_every_form() {
    let mut detail = detail(incident());
    let raw = "[x](http://e.vn) </text:p> \u{1b}[2J\n# MÔ PHỎNG";
    detail.evidence =
        vec![EventRow { raw: raw.into(), agency: "tk-48".into(), ..EventRow::default() }];
    detail.timeline.push(step("noted", "<b>Lan</b>", raw));
    let document = made(Kind::Progress, &detail);
    let text = markdown::write(&document);
    assert!(!text.contains("[x](") && !text.contains("\u{1b}") && !text.contains("\n# MÔ"));
    assert!(odt::write(&document).is_ok() && pdf::write(&document).is_ok());
}

fn told(incidents: &[Incident]) -> String {
    let agencies = agencies();
    let half: Half = "2026-H2".parse().unwrap();
    let year_end = LegalClock {
        id: "report-year-end".into(),
        kind: "calendar".into(),
        limit: "12-15".into(),
        law_vi: "Thông tư 20/2017/TT-BTTTT".into(),
        article: "6;9".into(),
        ..notice()
    };
    let duties = [notice(), year_end];
    let told = Told {
        half,
        span: half.span(),
        incidents,
        duties: &duties,
        names: Names { agencies: &agencies, systems: &[] },
        author: "Lan",
        now: now(),
    };
    markdown::write(&summary(&words::of(Lang::Vi), &told))
}

#[test]
fn a_summary_counts_each_incident_once_and_no_simulated_one_among_real_ones() {
    let clock = |state: vonggac_wire::proto::ClockState| ServiceClock {
        kind: "answer".into(),
        state: state.into(),
        ..ServiceClock::default()
    };
    use vonggac_wire::proto::ClockState as C;
    let open = Incident { clocks: vec![clock(C::Breached)], ..incident() };
    let closed = Incident {
        id: 3_108,
        severity: 3,
        state: IncidentState::Closed.into(),
        clocks: vec![clock(C::Met)],
        reports: vec![Reported { duty: "incident-notice".into(), ..Reported::default() }],
        ..incident()
    };
    let duplicate = Incident { id: 3_109, merged_into: 3_107, ..incident() };
    let simulated = Incident { id: 3_110, simulated: true, ..incident() };
    let text = told(&[open, closed, duplicate, simulated]);
    assert!(text.contains("Số sự cố mở trong kỳ: 2\n"), "{text}");
    assert!(text.contains("1 sự cố trùng, 1 sự cố mô phỏng"));
    assert!(text.contains("Nhận đúng hạn: 1/2\n"));
    assert!(text.contains("1/2 sự cố có báo cáo"));
    assert!(text.contains("Phải gửi trước: 15/12/2026"), "{text}");
    assert!(text.contains("[CHƯA CÓ: mốc chốt số liệu"));
    assert!(text.contains("[CHƯA CÓ: kết quả xử lý]"), "of the grave one");
    assert!(!text.contains("MÔ PHỎNG"));
}

#[test]
fn a_summary_of_simulated_incidents_says_so_and_an_empty_one_counts_nothing() {
    let simulated = Incident { simulated: true, ..incident() };
    assert!(told(&[simulated]).contains("MÔ PHỎNG"));
    let empty = told(&[]);
    assert!(empty.contains("Số sự cố mở trong kỳ: 0\n") && !empty.contains("MÔ PHỎNG"));
}

/// Writes examples of every form where a person can look at them: `VONGGAC_SAMPLES=DIR`.
#[test]
fn samples_are_written_where_somebody_wants_them() {
    let Some(folder) = std::env::var_os("VONGGAC_SAMPLES").map(std::path::PathBuf::from) else {
        return;
    };
    let mut detail = detail(Incident { owner: "Trần Thị Lan".into(), ..incident() });
    detail.timeline.push(step("noted", "Lan", "đang chuyển sang cụm dự phòng, xong khoảng 09:46"));
    let raw = "Nov 24 09:08:44 web-1 sshd[2211]: Failed password for root </x> [a](b)".to_owned();
    detail.evidence =
        vec![
            EventRow { raw, agency: "tk-48".into(), host: "web-1".into(), ..EventRow::default() };
            20
        ];
    let document = made(Kind::Initial, &detail);
    std::fs::write(folder.join("sample.md"), markdown::write(&document)).unwrap();
    std::fs::write(folder.join("sample.odt"), odt::write(&document).unwrap()).unwrap();
    std::fs::write(folder.join("sample.pdf"), pdf::write(&document).unwrap()).unwrap();
}

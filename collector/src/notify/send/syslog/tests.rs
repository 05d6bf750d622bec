use super::*;
use crate::notify::send::tests::message;

#[test]
fn an_incident_is_a_line_of_cef_in_which_no_value_ends_another() {
    let message = message();
    let text = Text::of(&message, Lang::En);
    let lines = lines(&text, Lang::En, Time::from_seconds(1_795_737_600));
    assert_eq!(lines.len(), 1);
    let (head, cef) = lines[0].split_once('\u{feff}').unwrap();
    assert!(head.starts_with("<130>1 2026-11-27T00:00:00Z "), "{head}");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        cef,
        format!(
            "CEF:0|Vong Gac|vonggac|{version}|ssh-brute-force|Guessed\\|passwords=x\\nfrom|10|rt=1795737600000 start=1795737600000 \
             externalId=7 act=opened outcome=new cnt=0 cs1=H49 cs1Label=agency cs2=TLP:AMBER cs2Label=tlp"
        )
    );
    assert!(!lines[0].chars().any(char::is_control));
}

#[test]
fn a_datagram_ends_between_characters() {
    assert_eq!(boundary("đđ", 3), 2);
    assert_eq!(boundary("đđ", 9), 4);
}

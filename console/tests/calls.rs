//! Wrong calls, as a shell makes them: exit code 2, a sentence in either language with what is allowed, and nobody asked anything.
#![expect(clippy::expect_used, reason = "a test stops where its ground is missing")]

use std::process::{Command, Output, Stdio};

fn call(lang: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vonggac"))
        .args(arguments)
        // Nobody listens there: what is wrong is told before anybody is called.
        .args(["--collector", "127.0.0.1:1", "--lang", lang])
        .env_remove("VONGGAC_LANG")
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_bad_value_is_a_usage_error_that_says_what_is_allowed_in_both_languages() {
    let cases: [(&[&str], &str); 9] = [
        (&["incidents", "assign", "7", "Minh", "--deadline", "nonsense"], "14:30"),
        (&["incidents", "hide", "7", "work", "--for", "soon"], "14:30"),
        (&["incidents", "close", "7", "--verdict", "perhaps"], "false_positive"),
        (&["incidents", "ack", "seven"], "seven"),
        (&["events", "--since", "nonsense"], "08:00"),
        (&["agencies", "--status", "nonsense"], "under_attack"),
        (&["agencies", "--format", "xml"], "jsonl"),
        (&["agencies", "--limit", "many"], "0"),
        (&["spread", "mac=1"], "src_ip"),
    ];
    for (arguments, allowed) in cases {
        for (lang, word) in [("vi", "Cho phép"), ("en", "Allowed")] {
            let output = call(lang, arguments);
            let told = told(&output);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
            assert!(told.contains(allowed), "{arguments:?}: {told}");
            assert!(told.contains(word) || arguments.contains(&"ack"), "{arguments:?}: {told}");
            assert!(output.stdout.is_empty());
        }
    }
}

#[test]
fn what_is_not_there_or_missing_is_a_usage_error_too() {
    for (arguments, vi, en) in [
        (&["agencys"][..], "Không có agencys. Có phải", "There is no agencys. Did you mean"),
        (&["agencies", "--agensy", "x"], "Không có --agensy", "There is no --agensy"),
        (&["incidents", "assign"], "Thiếu", "is missing"),
        (&["agencies", "--agency"], "cần một giá trị", "wants a value"),
    ] {
        for (lang, sentence) in [("vi", vi), ("en", en)] {
            let mut whole = vec!["--lang", lang];
            whole.extend(arguments);
            let output = Command::new(env!("CARGO_BIN_EXE_vonggac"))
                .args(&whole)
                .output()
                .expect("the program runs");
            let told = told(&output);
            assert_eq!(output.status.code(), Some(2), "{told}");
            assert!(told.contains(sentence), "{arguments:?}: {told}");
        }
    }
}

#[test]
fn a_centre_that_does_not_answer_is_a_failure_and_a_screen_needs_a_terminal() {
    let output = call("en", &["agencies"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("127.0.0.1:1"), "{}", told(&output));
    let output = call("en", &["console"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("needs a terminal"), "{}", told(&output));
    let output = call("vi", &["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(!output.stdout.is_empty());
}

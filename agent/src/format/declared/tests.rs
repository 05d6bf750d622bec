use super::*;

#[test]
fn every_file_is_right_and_has_an_example() {
    let mut names = Vec::new();
    for file in FILES.files().filter(|file| is_format(file.path())) {
        let text = file.contents_utf8().unwrap();
        let format = load::format(&Document::from_text(file.path(), text.to_owned()), true)
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(file.path().file_stem().unwrap(), format.name);
        assert!(!format.fire.is_empty(), "{} has no example", format.name);
        names.push(format.name);
    }
    assert!(names.len() > 20, "{names:?}");
}

#[test]
fn every_example_of_every_format_holds() {
    let wrong = Declared::builtin().try_examples();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_file_of_an_administrator_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = "name = \"x\"\nabout = \"x\"\nsource = \"x\"\n[[pattern]]\ntext = '(?<nobody>x)'\nclass = \"log_in\"\n";
    std::fs::write(folder.path().join("x.toml"), text).unwrap();
    let error = Declared::with_folder(folder.path()).err().unwrap().to_string();
    assert!(error.contains("nobody") && error.contains("log_in"), "{error}");
}

#[test]
fn a_format_of_an_administrator_is_asked_before_all_others() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
name = "office"
about = "x"
source = "x"
[[pattern]]
text = '^(?<time>\S+ \S+) DVC (?<src>\S+) (?<user>.*) (?<status>ok|refused)$'
line = true
class = "authentication"
[[example]]
line = "2026-11-24 16:00:00 DVC 203.0.113.7 trần lan refused"
class = "authentication"
is = { user = "trần lan", src = "203.0.113.7", status = "failure" }
[[counterexample]]
line = "2026-11-24 16:00:00 DVC"
"#;
    std::fs::write(folder.path().join("office.toml"), text).unwrap();
    let declared = Declared::with_folder(folder.path()).unwrap();
    assert_eq!(declared.formats()[0].name, "office");
    let context = Context::here(vonggac_wire::Time::from_seconds(1_796_000_000));
    let parsed = declared.line("2026-11-24 16:00:00 DVC 2001:db8::7 a b ok", &context).unwrap();
    assert_eq!(parsed.format, "office");
}

#[test]
fn the_file_that_the_manual_shows_is_a_right_one() {
    let manual = FILES.get_file("README.md").unwrap().contents_utf8().unwrap();
    let text = manual.split("```toml").nth(1).unwrap().split("```").next().unwrap();
    let format =
        load::format(&Document::from_text(Path::new("office.toml"), text.to_owned()), true)
            .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(format.try_examples(), Vec::<String>::new());
    for name in Field::NAMES {
        assert!(manual.contains(name), "{name}");
    }
}

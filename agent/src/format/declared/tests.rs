use super::*;

#[test]
fn every_file_is_right_and_has_an_example() {
    let mut names = Vec::new();
    for file in FILES.files() {
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

//! The generated code is checked in; this test makes it anew and compares.

use std::{fs, path::Path};

const PROTOS: [&str; 4] = ["event.proto", "batch.proto", "incident.proto", "console.proto"];

/// Set to `1` to write the generated code instead of comparing it.
const BLESS: &str = "VONGGAC_BLESS";

#[test]
fn generated_code_is_what_the_proto_files_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors =
        protox::compile(PROTOS, [root.join("proto")]).expect("the proto files compile");
    let folder = tempfile::tempdir().expect("a temporary folder");

    tonic_prost_build::configure()
        .out_dir(folder.path())
        .emit_rerun_if_changed(false)
        .build_transport(false)
        .client_mod_attribute("vonggac.v1", "#[cfg(feature = \"grpc\")]")
        .server_mod_attribute("vonggac.v1", "#[cfg(feature = \"grpc\")]")
        .type_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]")
        .message_attribute(".", "#[serde(default)]")
        .type_attribute(".vonggac.v1.Event.body", "#[serde(rename_all = \"snake_case\")]")
        .type_attribute(".vonggac.v1.Command.action", "#[serde(rename_all = \"snake_case\")]")
        .field_attribute("vonggac.v1.Event.raw", "#[serde(with = \"crate::json::text\")]")
        .field_attribute("vonggac.v1.Activity.src_ip", "#[serde(with = \"crate::json::address\")]")
        .field_attribute("vonggac.v1.Activity.dst_ip", "#[serde(with = \"crate::json::address\")]")
        .btree_map(".")
        .compile_fds(descriptors)
        .expect("the code is generated");

    let made = fs::read_to_string(folder.path().join("vonggac.v1.rs")).expect("the made file");
    let kept_path = root.join("src/generated/vonggac.v1.rs");
    if std::env::var_os(BLESS).is_some_and(|value| value == "1") {
        fs::write(&kept_path, &made).expect("the kept file is written");
    }
    let kept = fs::read_to_string(&kept_path).expect("the kept file");
    assert!(
        made == kept,
        "src/generated/vonggac.v1.rs differs from the proto files; run this test with {BLESS}=1"
    );
}

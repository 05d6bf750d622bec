//! Builds again when a declared format is added or changed: the folder is part of the program.
#![expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

fn main() {
    println!("cargo::rerun-if-changed=formats");
}

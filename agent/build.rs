//! Builds again when a declared format is added or changed: the folder is part of the program.

fn main() {
    println!("cargo::rerun-if-changed=formats");
}

//! Lines, requests and rules that others have judged, where they are at hand. They are not part of this project; without them a test
//! says so and passes. Included by the tests of several crates, which cannot depend on each other.

use std::path::{Path, PathBuf};

/// A file or folder of them: below `VONGGAC_MATERIAL`, else beside the project.
pub(crate) fn material(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("VONGGAC_MATERIAL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/material"),
        PathBuf::from,
    );
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: there is no {}", path.display());
    None
}

//! Modules of the kernel.

use std::path::Path;

use super::item::{Items, fields};
use crate::source::plain_file;

/// Bytes of the list.
const LIST_BYTES_MAX: u64 = 4 << 20;

pub(super) fn collect(root: &Path) -> Result<Items, String> {
    match plain_file::read_text(&root.join("proc/modules"), LIST_BYTES_MAX) {
        Ok(list) => Ok(read(&list)),
        // A kernel without modules has none.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Items::new()),
        Err(error) => Err(format!("failed to read proc/modules: {error}")),
    }
}

/// `NAME SIZE USES USERS STATE ADDRESS (TAINT)`. The letters of the taint: O from outside, E unsigned, P proprietary, F forced.
fn read(list: &str) -> Items {
    list.lines()
        .filter_map(|line| {
            let name = line.split_whitespace().next()?;
            let taint = line.rsplit_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
            Some((name.to_owned(), fields([("name", name), ("taint", taint.unwrap_or("none"))])))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_from_outside_is_known_by_its_taint() {
        let items = read(
            "ext4 737280 1 - Live 0x0000000000000000\nrootkit 16384 0 - Live 0x0000000000000000 (OE)\n\n",
        );
        assert_eq!(items["ext4"]["taint"], "none");
        assert_eq!(items["rootkit"]["taint"], "OE");
        assert_eq!(items.len(), 2);
    }
}

//! `events_all`: the engine's rows and the cold ones as one, for operators' own SQL.
//!
//! A table over files knows the files that there were when it was made, so it is made anew whenever files come or go. What is being moved
//! is taken from the engine as long as it is there, and from its file afterwards.

use super::{Columns, Shelf};
use crate::{
    retention::quoted,
    store::{Store, retention::RetentionError},
};

/// The table over the files.
const COLD: &str = "events_cold";

/// The view over both.
const ALL: &str = "events_all";

/// The statements that make table and view.
fn statements(shelf: &Shelf, columns: &Columns) -> [String; 2] {
    let names = &columns.names;
    let place = "kafka_topic, kafka_partition, kafka_offset, kafka_index";
    let files = |state: &str| {
        format!(
            "_path IN (SELECT concat({}, path) FROM cold_files FINAL WHERE state = '{state}')",
            quoted(&shelf.path())
        )
    };
    [
        format!(
            "CREATE OR REPLACE TABLE {COLD} ({}) ENGINE = {}",
            columns.structure,
            shelf.table()
        ),
        format!(
            "CREATE OR REPLACE VIEW {ALL} AS SELECT {names} FROM events UNION ALL SELECT {names} FROM {COLD} WHERE {} OR ({} AND ({place}) NOT IN \
             (SELECT {place} FROM events WHERE (agency, day) IN (SELECT agency, day FROM cold_files FINAL WHERE state = 'moving')))",
            files("settled"),
            files("moving")
        ),
    ]
}

impl Store {
    /// Makes table and view of what there is now. The engine looks at a bucket when it makes a table over it, and no setting ends its wait
    /// then: so the place is asked first.
    pub(in crate::store) async fn show_cold(&self, shelf: &Shelf) -> Result<(), RetentionError> {
        shelf.answers().await?;
        let columns = self.columns("events").await?;
        for text in statements(shelf, &columns) {
            self.reader().query_raw(&text).execute().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::{ColdPlace, place::Folder};

    #[test]
    fn a_path_stays_in_its_quotes() {
        let place = Folder { dir: "/a".into(), engine_dir: "/a'b".into() };
        let shelf = Shelf::new(ColdPlace::Folder(place));
        let columns =
            Columns { names: "`a`".into(), structure: "`a` String".into(), hash: String::new() };
        let [table, view] = statements(&shelf, &columns);
        assert_eq!(
            table,
            "CREATE OR REPLACE TABLE events_cold (`a` String) ENGINE = File(Parquet, '/a\\'b/*/*/*.parquet')"
        );
        assert!(view.contains("concat('/a\\'b/', path)"), "{view}");
    }
}

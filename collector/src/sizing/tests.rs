use proptest::prelude::*;

use super::*;

/// The page, as it is in the repository.
const PAGE: &str = include_str!("../../../deploy/SIZING.md");

fn of(hosts: u64) -> Sizing {
    sizing(Asked { hosts, events_per_second: None })
}

/// A row of a Markdown table without its padding.
fn row<T: AsRef<str>>(cells: &[T]) -> String {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    format!("| {} |", cells.join(" | "))
}

/// The numbers of hosts that the page shows.
const SHOWN: [u64; 5] = [50, 500, 5_000, 20_000, 50_000];

#[test]
fn the_page_has_the_table_that_the_arithmetic_gives() {
    let mut wanted = vec![row(&COLUMNS), row(&["---"; COLUMNS.len()]).replace(' ', "")];
    wanted.extend(SHOWN.map(|hosts| row(&of(hosts).cells())));
    assert!(
        PAGE.contains(&wanted.join("\n")),
        "deploy/SIZING.md should have\n{}",
        wanted.join("\n")
    );
}

#[test]
fn the_page_has_every_figure_and_says_where_it_is_from() {
    let mut wanted =
        vec!["| figure | value | from | how |".to_owned(), "|---|---|---|---|".to_owned()];
    for figure in FIGURES {
        let value = if figure.value >= 1_000.0 {
            thousands(figure.value)
        } else {
            figure.value.to_string()
        };
        wanted.push(row(&[figure.what, &value, figure.from.name(), figure.why]));
    }
    assert!(
        PAGE.contains(&wanted.join("\n")),
        "deploy/SIZING.md should have\n{}",
        wanted.join("\n")
    );
}

#[test]
fn the_page_has_every_profile() {
    for profile in crate::profile::ALL {
        let cells = [
            profile.name.to_owned(),
            profile.events_per_second_max.map_or_else(
                || "more".into(),
                |most| format!("up to {}", thousands(f64::from(most))),
            ),
            profile.partitions.to_string(),
            profile.replication.to_string(),
            thousands(number(profile.block_rows_max)),
            format!("{} MiB", profile.block_bytes_max >> 20),
            format!("{} ms", profile.block_interval.as_millis()),
        ];
        assert!(PAGE.contains(&row(&cells)), "deploy/SIZING.md should have {}", row(&cells));
    }
}

#[test]
fn numbers_are_written_as_people_read_them() {
    assert_eq!(
        [thousands(0.0), thousands(999.0), thousands(1_000.0), thousands(1_234_567.0)],
        ["0", "999", "1,000", "1,234,567"]
    );
    assert_eq!(
        [bytes(5e5), bytes(9.96e6), bytes(999.4e9), bytes(999.6e9), bytes(3e17)],
        ["0.5 MB", "10 MB", "999 GB", "1.0 TB", "300 PB"]
    );
}

#[test]
fn nothing_is_asked_of_nobody_but_one_of_each() {
    let none = of(0);
    assert_eq!(
        (none.collectors, none.shards, none.replicas, none.profile.name),
        (1, 1, 1, "small")
    );
    let told = sizing(Asked { hosts: 10, events_per_second: Some(5_000.0) });
    assert_eq!((told.events_per_second, told.profile.name), (5_000.0, "medium"));
}

proptest! {
    #[test]
    fn more_hosts_never_need_less(hosts in 0_u64..2_000_000, more in 0_u64..100_000) {
        let (less, more) = (of(hosts), of(hosts + more));
        prop_assert!(less.disk_hot <= more.disk_hot && less.kafka <= more.kafka && less.cold <= more.cold);
        prop_assert!(less.collectors <= more.collectors && less.partitions <= more.partitions);
        prop_assert!(less.shards * less.replicas <= more.shards * more.replicas);
        for one in [&less, &more] {
            prop_assert!(one.disk_with_cold <= one.disk_hot && one.collectors <= one.partitions);
        }
    }
}

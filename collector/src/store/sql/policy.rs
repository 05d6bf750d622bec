//! The same confinement where the engine has users: a user for each agency's operators, and row policies for what they read.

use super::{AUDIT, BOOKS, OF_AGENCIES, guard::quoted};
use crate::{
    store::cluster::Layout,
    trust::scope::{beginning, ending},
};

/// The statements that make users, grants and row policies of a cluster: one user for the nation, one for auditors, and one for each of
/// these agencies. An administrator of the engine carries them out, and says how each user comes in: until then none can.
#[must_use]
pub fn row_policies(layout: &Layout, database: &str, agencies: &[String]) -> Vec<String> {
    let on = layout.on_cluster();
    let place = |table: &str| format!("`{database}`.{table}");
    let mut all = Vec::new();
    let user = |name: &str| {
        format!(
            "CREATE USER IF NOT EXISTS `{name}`{on} IDENTIFIED WITH no_password HOST NONE SETTINGS readonly = 1 READONLY"
        )
    };
    for name in ["vonggac_nation", "vonggac_auditor"] {
        all.push(user(name));
    }
    let names =
        |tables: &[&str]| tables.iter().map(|table| (*table).to_owned()).collect::<Vec<_>>();
    let own: Vec<&str> = OF_AGENCIES.iter().map(|(name, _)| *name).collect();
    let lines: Vec<&str> =
        own.iter().copied().filter(|name| !super::LINES.contains(name)).collect();
    for table in names(&own).into_iter().chain(names(&BOOKS)) {
        all.push(format!("GRANT{on} SELECT ON {} TO `vonggac_nation`", place(&table)));
    }
    for table in names(&lines).into_iter().chain(names(&BOOKS)).chain(names(&AUDIT)) {
        all.push(format!("GRANT{on} SELECT ON {} TO `vonggac_auditor`", place(&table)));
    }
    for agency in agencies {
        let name = format!("vonggac_of_{agency}");
        all.push(user(&name));
        for table in &own {
            all.push(format!("GRANT{on} SELECT ON {} TO `{name}`", place(table)));
            all.push(format!(
                "CREATE ROW POLICY IF NOT EXISTS `{name}`{on} ON {} FOR SELECT USING agency = {} OR startsWith(agency, {}) OR endsWith(agency, {}) TO `{name}`",
                place(table),
                quoted(agency),
                quoted(&beginning(agency)),
                quoted(&ending(agency)),
            ));
        }
    }
    // Where a table has a policy, whoever has none of their own sees nothing: these see everything.
    for table in &own {
        all.push(format!(
            "CREATE ROW POLICY IF NOT EXISTS `vonggac_all`{on} ON {} FOR SELECT USING 1 TO ALL EXCEPT {}",
            place(table),
            agencies.iter().map(|agency| format!("`vonggac_of_{agency}`")).collect::<Vec<_>>().join(", ")
        ));
    }
    all
}

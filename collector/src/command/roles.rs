//! `roles`: the confinement of a cluster's users, as text.

use clap::Subcommand;

use crate::{
    config::Config,
    store::{cluster::Layout, sql::row_policies},
};

/// What can be asked.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print users, grants and row policies for a ClickHouse cluster, to be carried out by its administrator; nothing is touched.
    Ddl {
        /// Agencies that get a user of their own.
        #[arg(long, required = true, num_args = 1.., value_parser = agency)]
        agency: Vec<String>,
    },
}

fn agency(text: &str) -> Result<String, String> {
    vonggac_wire::AgencyId::folded(text)
        .map(|agency| agency.to_string())
        .map_err(|error| error.to_string())
}

/// The answer.
pub(super) fn run(config: &Config, command: &Command) -> String {
    let Command::Ddl { agency } = command;
    let layout = Layout::of(config.cluster.as_deref());
    let all = row_policies(&layout, &config.database, agency);
    all.iter().map(|statement| format!("{statement};\n")).collect::<String>().trim_end().to_owned()
}

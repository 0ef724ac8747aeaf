//! Audits at scale.
//!
//! ```text
//! audit generate --tokens 100000 --names 10000000 --seed 1 DIR   # policies, catalogs, requests, a decision log
//! audit curve --record ../record                                 # names a second by number of patterns, beside peers
//! ```

mod curve;
mod generate;
#[path = "../../peers/src/machine.rs"]
mod machine;
mod peers;
#[path = "../../peers/src/plot.rs"]
mod plot;
mod record;
#[path = "../../workload/mod.rs"]
mod workload;

use clap::Parser;

#[derive(Parser)]
enum Command {
    /// Write a policy, what it might become, a catalog in several forms, requests and a decision log: the same for the same seed
    Generate(generate::Args),
    /// Measure names a second on one core with 10 to 1,000,000 patterns on a connection
    Curve(curve::Args),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Generate(args) => generate::run(&args),
        Command::Curve(args) => curve::run(&args),
    }
}

//! Audits at scale.
//!
//! ```text
//! audit generate --tokens 100000 --names 10000000 --seed 1 DIR   # policies, catalogs, requests, a decision log
//! audit curve --record ../record                                 # names a second by number of patterns, and of peers
//! ```

mod curve;
mod generate;
#[path = "../../peers/src/machine.rs"]
mod machine;
mod peers;
#[path = "../../peers/src/plot.rs"]
mod plot;
mod point;
mod record;
#[path = "../../workload/mod.rs"]
mod workload;

use clap::Parser;

#[derive(Parser)]
enum Command {
    /// Write a policy, a narrower and a wider version of it, a catalog in several formats and a decision log. Equal
    /// seeds give equal files
    Generate(generate::Args),
    /// Measure names a second on one core, with 10 to 1,000,000 patterns on a connection
    Curve(curve::Args),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Generate(args) => generate::run(&args),
        Command::Curve(args) => curve::run(&args),
    }
}

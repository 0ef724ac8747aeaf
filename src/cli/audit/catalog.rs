//! The names of a catalog, one after the other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use portcullis::audit::catalog::{Row, read};
use portcullis::model::Policy;

use crate::cli::output::{Color, Painted, counted, printable};
use crate::cli::policy::is_stdin;

/// How many rows are told that cannot be read.
const TOLD: usize = 5;

/// A catalog.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Catalog")]
pub(super) struct CatalogArgs {
    /// The names that exist: CSV or JSON Lines, plain or compressed, with `connection` and `name`, or the columns of
    /// `INFORMATION_SCHEMA.TABLES`; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(super) catalog: Option<PathBuf>,
    /// The connection of all rows of a catalog that has no such column
    #[arg(long, value_name = "NAME")]
    catalog_connection: Option<String>,
}

/// Hands the connection and name of each row of the catalog to `see`, which says whether the name is well-formed. Rows that
/// cannot be read are told, and how many there are.
pub(super) fn each(
    path: &Path,
    args: &CatalogArgs,
    policy: &Policy,
    color: Color,
    mut see: impl FnMut(&str, &str) -> bool,
) -> anyhow::Result<()> {
    let file = path.display();
    let (input, size): (Box<dyn Read>, _) = if is_stdin(path) {
        (Box::new(io::stdin().lock()), None)
    } else {
        let opened = File::open(path).with_context(|| format!("cannot read `{file}`"))?;
        let size = opened.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
        (Box::new(opened), size)
    };
    let progress = progress(size);
    listen_for_interrupts()?;
    let dialects: BTreeMap<&str, _> =
        policy.connections().iter().map(|connection| (connection.name(), connection.dialect())).collect();
    let (mut broken, mut first, mut text) = (0_u64, Vec::new(), String::new());
    let mut one = |row: Row<'_>| -> Result<(), String> {
        let connection = row.connection.filter(|connection| !connection.is_empty());
        let Some(connection) = connection.or(args.catalog_connection.as_deref()) else {
            return Err(
                "no connection: the catalog needs the column `connection`, or `--catalog-connection`".to_owned()
            );
        };
        text.clear();
        row.name.write(dialects.get(connection).copied().unwrap_or_default(), &mut text);
        if see(connection, &text) {
            Ok(())
        } else {
            Err(format!("`{}` is no name on `{connection}`", printable(&text)))
        }
    };
    let outcome = read(progress.wrap_read(input), |row| {
        let seen =
            row.map_err(|broken| (broken.line, broken.why)).and_then(|row| one(row).map_err(|why| (row.line, why)));
        if let Err(why) = seen {
            broken += 1;
            if first.len() < TOLD {
                first.push(why);
            }
        }
        if interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    progress.finish_and_clear();
    let mut stderr = io::stderr().lock();
    let label = Painted::bold(color.on(&stderr), "note:");
    for (line, why) in &first {
        writeln!(stderr, "{label} `{file}`, line {line}: {}", printable(why))?;
    }
    if broken > first.len() as u64 {
        writeln!(stderr, "{label} `{file}`: {} cannot be read, these are the first", counted(broken, "row"))?;
    }
    outcome.with_context(|| format!("cannot read `{file}`"))?;
    if interrupted() {
        bail!("reading `{file}` was interrupted");
    }
    Ok(())
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Lets `Ctrl-C` stop the reading instead of the process; a second one stops the process.
fn listen_for_interrupts() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() && !INTERRUPTED.swap(true, Ordering::Relaxed) {
                let _ = tokio::signal::ctrl_c().await;
            }
            std::process::exit(130);
        });
    });
    Ok(())
}

/// A progress bar with rate and time left, where somebody sees it.
fn progress(size: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{bar:32} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {bytes}, {bytes_per_sec}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

//! Generates completions and manual pages from the command-line definition.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap_complete::Shell;
use clap_mangen::Man;

use super::output::{OwnFormat, Stdout, Target};
use super::{Exit, command};

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  portcullis completions bash \\
      > ~/.local/share/bash-completion/completions/portcullis
  portcullis completions zsh > \"${fpath[1]}/_portcullis\"
  portcullis completions fish > ~/.config/fish/completions/portcullis.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  portcullis man | man -l -
  portcullis man --dir /usr/local/share/man/man1";

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = COMPLETIONS_EXAMPLES)]
pub(super) struct CompletionsArgs {
    /// Shell to complete for
    shell: Shell,
}

/// Print the manual page, or write a page for each command
#[derive(Debug, clap::Args)]
#[command(after_long_help = MAN_EXAMPLES)]
pub(super) struct ManArgs {
    /// Write a page for each command into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "portcullis", &mut script);
    print(&script)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<Exit> {
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        Man::new(command()).render(&mut page)?;
        return print(&page);
    };
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create the directory `{}`", dir.display()))?;
    let mut built = command();
    built.build();
    pages(&built, dir)?;
    Ok(Exit::Success)
}

/// Manual pages of any version and program of this name.
const MAN_PAGE: OwnFormat = OwnFormat {
    name: "a manual page of portcullis",
    starts: |start| String::from_utf8_lossy(start).contains(".TH portcullis"),
};

/// Writes the pages of a command and its subcommands.
fn pages(command: &clap::Command, dir: &Path) -> anyhow::Result<()> {
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        pages(subcommand, dir)?;
    }
    let page = Man::new(command.clone());
    Target::within(dir, &page.get_filename(), MAN_PAGE)?.write(|out| Ok(page.render(&mut &mut *out)?))
}

/// Prints a generated text. The reader may stop early.
fn print(text: &[u8]) -> anyhow::Result<Exit> {
    let mut out = Stdout::lock();
    out.write_all(text)?;
    out.flush()?;
    Ok(Exit::Success)
}

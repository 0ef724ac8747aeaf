//! The commands for credentials: tokens and OAuth clients.

mod access;
mod change;
mod create;
mod pairs;
mod show;

#[cfg(feature = "workspace")]
pub(super) use pairs::word;

use clap::{Subcommand, ValueEnum};
use portcullis_registry::record::ClientKind;

use super::Exit;
use super::output::Color;

const EXAMPLES: &str = "\
Examples:
  portcullis credentials create token --apis sql,maps --expiration-date 30d \\
      --connection carto_dw --source 'carto.shared.CARTO_*'
  portcullis credentials list tokens
  portcullis credentials update token tk_5h3f9w2mzq \\
      --add-grant carto_dw,carto.shared.roads
  portcullis credentials rotate token tk_5h3f9w2mzq --overlap 7d
  portcullis credentials revoke token tk_5h3f9w2mzq

Exit codes: 0 done; 1 refused because of the registry's contents or for safety;
2 usage error or another error.";

/// Manage API access tokens and OAuth clients
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(show::ListArgs),
    Create(create::Args),
    Get(show::GetArgs),
    Update(change::UpdateArgs),
    #[command(visible_alias = "revoke")]
    Delete(change::DeleteArgs),
    Rotate(change::RotateArgs),
    Prune(change::PruneArgs),
}

/// The kind of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// An API access token
    #[value(alias = "tokens")]
    Token,
    /// The OAuth client of a single-page application
    Spa,
    /// The OAuth client of a machine
    M2m,
}

impl Kind {
    /// The kind of OAuth client; `None` for tokens.
    fn client(self) -> Option<ClientKind> {
        match self {
            Self::Token => None,
            Self::Spa => Some(ClientKind::Spa),
            Self::M2m => Some(ClientKind::M2m),
        }
    }
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    match &args.command {
        Command::List(args) => show::list(args, color),
        Command::Create(args) => create::run(args, color),
        Command::Get(args) => show::get(args),
        Command::Update(args) => change::update(args, color),
        Command::Delete(args) => change::delete(args),
        Command::Rotate(args) => change::rotate(args),
        Command::Prune(args) => change::prune(args, color),
    }
}

//! How HTTP requests are read: the options of whoever reads them.

use std::path::PathBuf;

use anyhow::Context;
use portcullis_http::gateway::{Preflights, Reader, ReaderOptions, Routes};

use super::output::Inputs;

#[derive(clap::Args)]
#[command(next_help_heading = "Reading requests")]
pub(super) struct ReadingArgs {
    /// The routes of another platform, instead of the built-in ones
    #[arg(long, value_name = "FILE")]
    routes: Option<PathBuf>,
    /// Let paths below this prefix pass undecided, where no route fits; as often as wanted
    #[arg(long, value_name = "PATH")]
    pass_through: Vec<String>,
    /// Let an `Origin` header stand for a missing `Referer`
    #[arg(long)]
    origin_as_referer: bool,
    /// Refuse tokens in `?access_token=`: URLs end up in access logs
    #[arg(long)]
    refuse_query_tokens: bool,
    /// Let preflights pass to an upstream that answers them [default: none passes]
    #[arg(long)]
    pass_preflights: bool,
}

impl ReadingArgs {
    /// Adds the files that are read.
    pub(super) fn add_inputs(&self, inputs: &mut Inputs) {
        inputs.add_all(&self.routes);
    }

    /// The reader of these options.
    pub(super) fn reader(&self) -> anyhow::Result<Reader> {
        let mut routes = match &self.routes {
            None => Routes::default(),
            Some(path) => {
                let name = path.display();
                Inputs::check_stdout(path)?;
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{name}`"))?;
                Routes::from_json(&text).with_context(|| format!("`{name}`"))?
            }
        };
        for prefix in &self.pass_through {
            routes.pass_through(prefix).map_err(|error| anyhow::anyhow!("`--pass-through {prefix}`: {error}"))?;
        }
        let options = ReaderOptions {
            origin_as_referer: self.origin_as_referer,
            refuse_query_tokens: self.refuse_query_tokens,
            preflights: if self.pass_preflights { Preflights::Pass } else { Preflights::Hold },
        };
        Ok(Reader::new(routes, options))
    }
}

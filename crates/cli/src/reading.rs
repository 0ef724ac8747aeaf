//! The options of the request reader.

use std::path::PathBuf;

use anyhow::Context;
use portcullis::base::Escaped;
use portcullis_http::gateway::{Preflights, Reader, ReaderOptions, Routes};

use super::input;
use super::output::Inputs;

#[derive(clap::Args)]
#[command(next_help_heading = "HTTP requests")]
pub(super) struct ReadingArgs {
    /// Read routes from this JSON file [default: built in]
    ///
    /// `-` is standard input.
    #[arg(long, value_name = "FILE")]
    routes: Option<PathBuf>,
    /// Pass paths with this prefix without a decision
    ///
    /// Applies only to paths without a route. `/` is refused. Repeat for more prefixes. Example: `--pass-through /healthz`
    #[arg(long, value_name = "PATH")]
    pass_through: Vec<String>,
    /// Use the `Origin` header if `Referer` is missing
    #[arg(long)]
    origin_as_referer: bool,
    /// Deny tokens in `?access_token=`
    ///
    /// URLs with tokens end up in access logs.
    #[arg(long)]
    refuse_query_tokens: bool,
    /// Pass CORS preflights to the upstream
    ///
    /// For an upstream that answers them. Without this option preflights do not pass.
    #[arg(long)]
    pass_preflights: bool,
}

/// Returns the options that `text` means: a path, or a list of paths.
fn meant(text: &str) -> Option<String> {
    let around = |character: char| character.is_whitespace() || "/\"'`*".contains(character);
    let options = text.split([',', ';', ' ']).filter(|item| !item.is_empty()).map(|item| {
        let path = format!("/{}", item.trim_matches(around));
        Routes::default().pass_through(&path).ok().map(|()| format!("--pass-through {path}"))
    });
    options.collect::<Option<Vec<_>>>().filter(|options| !options.is_empty()).map(|options| options.join(" "))
}

impl ReadingArgs {
    /// Adds the file of `--routes` to `inputs`.
    pub(super) fn add_inputs(&self, inputs: &mut Inputs) {
        inputs.add_all(&self.routes);
    }

    /// Creates the request reader.
    pub(super) fn reader(&self) -> anyhow::Result<Reader> {
        let mut routes = match &self.routes {
            None => Routes::default(),
            Some(path) => {
                let text = input::json(path, "--routes")?;
                Routes::from_json(&text).with_context(|| format!("`{}`", path.display()))?
            }
        };
        for prefix in &self.pass_through {
            routes.pass_through(prefix).map_err(|error| {
                let instead = meant(prefix).unwrap_or_else(|| "--pass-through /healthz".to_owned());
                anyhow::anyhow!("`--pass-through {}`: {error}\nhelp: write `{instead}`", Escaped::whole(prefix))
            })?;
        }
        let options = ReaderOptions {
            origin_as_referer: self.origin_as_referer,
            refuse_query_tokens: self.refuse_query_tokens,
            preflights: if self.pass_preflights { Preflights::Pass } else { Preflights::Hold },
        };
        Ok(Reader::new(routes, options))
    }
}

//! Creates a first policy.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::{Escaped, quoted, unwritable_words};
use portcullis::model::Expiry;
use portcullis_document::load::{Input, LoadOptions, load};
use portcullis_secret::{Secret, SecretKind};
use serde::Serialize;

use super::Exit;
use super::output::{Color, cannot_write, file_name, is_stdin, show_once};
use super::policy;

const EXAMPLES: &str = "\
Examples:
  portcullis init
  portcullis init maps.json --connection carto_dw --dialect bigquery \\
      --source 'acme.tiles.stores_*' --referer https://www.example.com/

The secret of the token is printed once. The file has only its digest, and mode
0600.";

/// Create a first policy with one connection and one token
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// File to create; never overwritten
    #[arg(value_name = "FILE", default_value = "policy.json")]
    file: PathBuf,
    /// Name the connection
    #[arg(long, value_name = "NAME", default_value = "carto_dw")]
    connection: String,
    /// Set the SQL dialect, such as `bigquery` [default: generic]
    ///
    /// One of `generic`, `bigquery`, `snowflake`, `oracle`, `postgres`, `redshift`, `databricks`.
    #[arg(long, value_name = "DIALECT", default_value = "generic", hide_default_value = true)]
    dialect: String,
    /// Grant this source; `*` for all sources
    ///
    /// A table, a pattern such as `carto.shared.demo_*`, SQL, or a named source.
    #[arg(long, value_name = "SOURCE", default_value = "carto.shared.demo_*")]
    source: String,
    /// Allow these APIs: `maps`, `sql`, `imports` or `lds`
    #[arg(long, value_name = "API,…", value_delimiter = ',', value_parser = crate::bounds::item, default_value = "maps")]
    apis: Vec<String>,
    /// Allow this referer; repeat for more [default: any]
    #[arg(long, value_name = "URL")]
    referer: Vec<String>,
    /// Set the expiry, such as `7d` or `never`
    ///
    /// A span such as `7d`, `2w`, `6m` or `1y`, a date, an RFC 3339 instant, or `never`.
    #[arg(long, value_name = "WHEN", default_value = "1y")]
    expiration_date: String,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    let name = args.file.display().to_string();
    if is_stdin(&args.file) {
        bail!(
            "standard output shows the secret, so it cannot be the policy: name a file, as in `portcullis init policy.json`"
        );
    }
    let secret = Secret::mint(SecretKind::Token)?;
    let text = document(args, &secret)?;
    let options = LoadOptions { now: Some(SystemClock.now()), ..LoadOptions::default() };
    let input = [Input::new(&*name, &*text)];
    let loaded = load(&input, &options);
    if loaded.policy.is_none() {
        let errors: Vec<_> = loaded.errors().collect();
        let mut report = String::new();
        policy::render(&input, &errors, color.on(&io::stderr()), &mut report)?;
        io::stderr().write_all(report.as_bytes())?;
        return Ok(Exit::Failure);
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // Only the owner may read it, whatever the umask.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = match options.open(&args.file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let name = file_name(&args.file);
            bail!("{name} already exists and was not changed: name another file, as in `portcullis init first.json`")
        }
        Err(error) => {
            bail!("cannot create {}: {}", file_name(&args.file), unwritable_words(&args.file, &error))
        }
        Ok(file) => file,
    };
    let done = write(&file, &text).with_context(|| cannot_write(&args.file)).and_then(|()| {
        let name = Escaped::whole(&name);
        show_once(&[
            &format!("wrote {name}: connection {}, token `first`\n", quoted(&args.connection)),
            &format!("secret of the token, shown once:\n  {}\n", secret.expose()),
            &format!("next:\n  portcullis validate {name}\n  portcullis serve --policy {name}"),
        ])
        .context("the secret of the token was not shown, so the policy was not written")
    });
    if done.is_err() {
        // Nobody knows the secret of its token. A failure to remove it does not matter more than `done`.
        let _ = remove(&args.file, &file);
    }
    done.map(|()| Exit::Success)
}

/// Removes the file that this process created, unless another file has its name now.
fn remove(path: &Path, created: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (named, created) = (std::fs::symlink_metadata(path)?, created.metadata()?);
        if (named.dev(), named.ino()) != (created.dev(), created.ino()) {
            return Ok(());
        }
    }
    std::fs::remove_file(path)
}

fn write(mut file: &File, text: &str) -> io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The policy document. The fields are in the order that people read.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    connections: [Connection<'a>; 1],
    tokens: [Token<'a>; 1],
}

#[derive(Serialize)]
struct Connection<'a> {
    name: &'a str,
    dialect: &'a str,
}

#[derive(Serialize)]
struct Token<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(rename = "token_sha256")]
    digest: String,
    allowed_apis: &'a [String],
    grants: [Grant<'a>; 1],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    referers: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_date: Option<String>,
}

#[derive(Serialize)]
struct Grant<'a> {
    connection_name: &'a str,
    source: &'a str,
}

fn document(args: &Args, secret: &Secret) -> anyhow::Result<String> {
    let expiry = match args.expiration_date.as_str() {
        "never" => Expiry::Never,
        text => Expiry::at_creation(text, SystemClock.now()).context("`--expiration-date`")?,
    };
    let document = Document {
        version: 1,
        connections: [Connection { name: &args.connection, dialect: &args.dialect }],
        tokens: [Token {
            id: "first",
            name: "first token",
            digest: secret.digest().to_hex(),
            allowed_apis: &args.apis,
            grants: [Grant { connection_name: &args.connection, source: &args.source }],
            referers: &args.referer,
            expiration_date: match expiry {
                Expiry::Never => None,
                Expiry::At(end) => Some(end.to_string()),
            },
        }],
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

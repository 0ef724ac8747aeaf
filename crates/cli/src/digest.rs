//! Makes the digest of a secret.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use anyhow::bail;
use portcullis::model::SecretDigest;

use super::Exit;
use super::output::Stdout;

const EXAMPLES: &str = "\
Examples:
  printf %s \"$TOKEN\" | portcullis digest
  portcullis digest < token.txt

The secret is read from standard input, so that it is in no argument list and no shell history.
One line end after it is ignored.";

/// Longer input is not a secret.
const MAX_BYTES: u64 = 64 << 10;

/// Print the `token_sha256` of a secret
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> anyhow::Result<Exit> {
    let stdin = io::stdin();
    let mut secret = Vec::new();
    if stdin.is_terminal() {
        // A person types one line, which the terminal shows.
        writeln!(io::stderr(), "type the secret, then Enter; it is visible while you type")?;
        stdin.lock().take(MAX_BYTES + 1).read_until(b'\n', &mut secret)?;
    } else {
        stdin.lock().take(MAX_BYTES + 1).read_to_end(&mut secret)?;
    }
    if secret.len() as u64 > MAX_BYTES {
        bail!("standard input holds more than {MAX_BYTES} bytes: expected one secret");
    }
    let Ok(text) = std::str::from_utf8(&secret) else {
        bail!("standard input is not UTF-8: expected one secret");
    };
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        bail!("standard input holds no secret: pipe it in, as in `printf %s \"$TOKEN\" | portcullis digest`");
    }
    if text.contains(['\n', '\r']) {
        bail!("standard input holds several lines: expected one secret");
    }
    let mut out = Stdout::lock();
    writeln!(out, "{}", SecretDigest::of(text).to_hex())?;
    out.flush()?;
    Ok(Exit::Success)
}

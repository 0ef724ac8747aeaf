//! Computes the digest of a secret.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use anyhow::bail;
use portcullis::model::SecretDigest;

use super::Exit;
use super::input::claim_stdin;
use super::output::Stdout;
use super::secret_input;

const EXAMPLES: &str = "\
Examples:
  printf %s \"$TOKEN\" | portcullis digest
  portcullis digest < token.txt

The secret is read from standard input, which keeps it out of the argument list
and the shell history. One line ending after it is ignored. Blanks around it, a
byte order mark and `Bearer ` are refused: no client sends them in a token. So
are inner blanks, commas and characters that are not visible ASCII.";

/// The maximum length of a secret, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// Print the digest of a secret for `token_sha256`
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> anyhow::Result<Exit> {
    claim_stdin("digest")?;
    let stdin = io::stdin();
    let mut secret = Vec::new();
    if stdin.is_terminal() {
        // The terminal echoes the line that the user types.
        writeln!(io::stderr(), "type the secret, then Enter; it is visible while you type")?;
        stdin.lock().take(MAX_BYTES + 1).read_until(b'\n', &mut secret)?;
    } else {
        stdin.lock().take(MAX_BYTES + 1).read_to_end(&mut secret)?;
    }
    if secret.len() as u64 > MAX_BYTES {
        bail!("standard input has more than {MAX_BYTES} bytes: expected one secret");
    }
    let text = secret_input::text(&secret)?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        bail!("standard input has no secret: pipe it in, as in `printf %s \"$TOKEN\" | portcullis digest`");
    }
    if text.contains(['\n', '\r']) {
        bail!("standard input has several lines: expected one secret");
    }
    secret_input::check_new(text)?;
    let mut out = Stdout::lock();
    writeln!(out, "{}", SecretDigest::of(text).to_hex())?;
    out.flush()?;
    Ok(Exit::Success)
}

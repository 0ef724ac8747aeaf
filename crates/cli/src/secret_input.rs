//! Checks a secret that a user pipes in.

use anyhow::bail;
use portcullis_document::load::{FOREIGN_BYTES, Foreign, not_in_headers};

/// Where a secret comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Stdin,
    /// An environment variable.
    Variable,
}

impl Origin {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Stdin => "standard input",
            Self::Variable => "the environment variable",
        }
    }
}

/// Fails if `text` has something around the secret that no client sends as part of a token: its digest would match no
/// request. The errors do not repeat the text.
pub(super) fn check(text: &str, origin: Origin) -> anyhow::Result<()> {
    let shown = origin.as_str();
    if text.starts_with('\u{feff}') {
        bail!("{shown} starts with a byte order mark: save the secret as UTF-8 without it");
    }
    if origin == Origin::Stdin {
        check_text(text.as_bytes())?;
    }
    let scheme = text.split_once([' ', '\t']).map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| scheme.trim_end_matches(':').eq_ignore_ascii_case("authorization")) {
        bail!("{shown} is a header: give only the secret, which follows `Bearer `");
    }
    if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer")) {
        bail!("{shown} starts with `Bearer `: leave it out, and give only the secret");
    }
    if text.trim() != text {
        bail!("{shown} has blanks around the secret: leave them out, as in `printf %s \"$TOKEN\"`");
    }
    Ok(())
}

/// Returns the bytes of standard input as text. Data in another format is named in the error.
pub(super) fn text(bytes: &[u8]) -> anyhow::Result<&str> {
    check_text(bytes)?;
    Ok(std::str::from_utf8(bytes)?)
}

/// Fails if `bytes` are not text in UTF-8. Only text in UTF-16 or UTF-32 can be converted to a secret.
fn check_text(bytes: &[u8]) -> anyhow::Result<()> {
    match Foreign::of(bytes.get(..FOREIGN_BYTES).unwrap_or(bytes)) {
        Some(foreign @ (Foreign::Utf16 | Foreign::Utf32)) => bail!("standard input: expected one secret, {foreign}"),
        _ if !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok() => Ok(()),
        _ => bail!(
            "standard input: expected one secret, found binary data\n\
             help: pipe the text of the secret, as in `printf %s \"$TOKEN\"`"
        ),
    }
}

/// Like [`check`], for a secret that no token has yet: its digest does not show that no request can present it.
pub(super) fn check_new(text: &str) -> anyhow::Result<()> {
    check(text, Origin::Stdin)?;
    if let Some(why) = not_in_headers(text) {
        bail!(
            "no `Authorization` header carries the secret: {why}\nhelp: choose a secret of visible ASCII characters without \
             a comma, or let `portcullis credentials create token` generate one"
        );
    }
    Ok(())
}

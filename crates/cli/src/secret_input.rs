//! Checks a secret that a user pipes in.

use anyhow::bail;
use portcullis_document::load::not_in_headers;

/// Fails if `text` has something around the secret that no client sends as part of a token: its digest would match no
/// request. The errors do not repeat the text.
pub(super) fn check(text: &str) -> anyhow::Result<()> {
    if text.starts_with('\u{feff}') {
        bail!("standard input starts with a byte order mark: save the secret as UTF-8 without it");
    }
    if text.contains('\0') {
        bail!("standard input has NUL bytes: convert it with `iconv -f UTF-16 -t UTF-8`");
    }
    let scheme = text.split_once([' ', '\t']).map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| scheme.trim_end_matches(':').eq_ignore_ascii_case("authorization")) {
        bail!("standard input is a header: give only the secret, which follows `Bearer `");
    }
    if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer")) {
        bail!("standard input starts with `Bearer `: leave it out, and give only the secret");
    }
    if text.trim() != text {
        bail!("standard input has blanks around the secret: leave them out, as in `printf %s \"$TOKEN\"`");
    }
    Ok(())
}

/// Like [`check`], for a secret that no token has yet: its digest does not show that no request can present it.
pub(super) fn check_new(text: &str) -> anyhow::Result<()> {
    check(text)?;
    if let Some(why) = not_in_headers(text) {
        bail!(
            "no `Authorization` header carries the secret: {why}\nhelp: choose a secret of visible ASCII characters without \
             a comma, or let `portcullis credentials create token` generate one"
        );
    }
    Ok(())
}

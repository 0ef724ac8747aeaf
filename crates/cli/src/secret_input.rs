//! Checks a secret that a user pipes in.

use anyhow::bail;

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

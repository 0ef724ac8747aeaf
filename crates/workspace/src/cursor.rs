//! Opaque positions in a list. A cursor works only with the list, the filters and the order that it was made for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::model::SecretDigest;

use crate::problem::Problem;

/// The number of characters of the digest of the query in a cursor.
const DIGEST: usize = 16;

/// Returns the cursor of the position `parts` in the list that `query` describes.
pub(crate) fn write(query: &str, parts: &[&str]) -> String {
    let digest = digest(query);
    let parts: Vec<&str> = std::iter::once(&*digest).chain(parts.iter().copied()).collect();
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&parts).unwrap_or_default())
}

/// Reads a cursor of `N` parts.
///
/// # Errors
///
/// If it is not a cursor of this list.
pub(crate) fn read<const N: usize>(query: &str, cursor: &str) -> Result<[String; N], Problem> {
    let wrong = || {
        Problem::invalid(
            "invalid_cursor",
            "`cursor` is not a position in this list",
            "pass `next_cursor` of the previous page, with the same filters and order; leave it out for the first page",
        )
    };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
    let mut parts: Vec<String> = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    if parts.first().is_none_or(|first| *first != digest(query)) {
        return Err(wrong());
    }
    parts.remove(0);
    parts.try_into().map_err(|_| wrong())
}

fn digest(query: &str) -> String {
    SecretDigest::of(query).to_hex().chars().take(DIGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::{read, write};

    #[test]
    fn a_cursor_works_only_with_its_own_list() {
        let cursor = write("tokens created", &["2026-01-01", "tk_é/\n"]);
        assert_eq!(read("tokens created", &cursor).unwrap(), ["2026-01-01", "tk_é/\n"]);
        assert!(read::<2>("tokens name", &cursor).is_err());
        assert!(read::<1>("tokens created", &cursor).is_err());
        for wrong in ["", "x", "AAAA", "é", &format!("{cursor}A")] {
            assert_eq!(read::<2>("tokens created", wrong).unwrap_err().reason(), "invalid_cursor", "{wrong}");
        }
    }
}

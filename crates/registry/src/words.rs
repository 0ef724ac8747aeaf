//! Texts of users in messages.

use super::secret;
use portcullis::base;

/// Returns `text` as [`base::quoted`] does, or `pcl_…` if it contains a secret of ours.
pub(super) fn quoted(text: &str) -> String {
    if secret::contains_secret(text) { "`pcl_…`".to_owned() } else { base::quoted(text) }
}

/// Returns `did you mean …? ` with the known name that was probably meant, or nothing.
pub(super) fn did_you_mean<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    base::nearest(name, known).map_or_else(String::new, |known| format!("did you mean {}? ", quoted(known)))
}

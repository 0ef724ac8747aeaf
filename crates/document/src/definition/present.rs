//! Optional members of JSON objects other than documents.

use serde::{Deserialize, Deserializer};

/// Deserializes an optional member that is present, for `#[serde(default, deserialize_with = "present")]`.
///
/// Without it, `null` would count as missing, and select a default that its author did not mean.
///
/// ```
/// use portcullis_document::definition::present;
///
/// #[derive(serde::Deserialize)]
/// struct Request {
///     #[serde(default, deserialize_with = "present")]
///     referer: Option<String>,
/// }
///
/// assert_eq!(serde_json::from_str::<Request>("{}")?.referer, None);
/// assert!(serde_json::from_str::<Request>(r#"{"referer": null}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
///
/// If the value is not a `T`.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

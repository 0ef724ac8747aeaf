//! The stylesheet and the scripts. Their names have a hash of their content, so browsers keep them for a year.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use portcullis::model::SecretDigest;

/// A file that pages load.
pub(super) struct Asset {
    /// The last segment of its path.
    pub(super) name: String,
    content: &'static str,
    kind: &'static str,
}

pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("css", include_str!("console.css"), "text/css; charset=utf-8"));
pub(super) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("js", include_str!("console.js"), "text/javascript; charset=utf-8"));
/// The script of the page that hands the answer of an authorization to another page.
pub(super) static MESSAGE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("js", include_str!("message.js"), "text/javascript; charset=utf-8"));

impl Asset {
    fn new(extension: &str, content: &'static str, kind: &'static str) -> Self {
        let hash: String = SecretDigest::of(content).to_hex().chars().take(16).collect();
        Self { name: format!("console-{hash}.{extension}"), content, kind }
    }
}

/// Answers with an asset. A page of another version may ask for another hash, which is not found.
pub(super) async fn get(Path(name): Path<String>) -> Response {
    match [&*STYLE, &*SCRIPT, &*MESSAGE].into_iter().find(|asset| asset.name == name) {
        Some(asset) => {
            let headers = [(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
            (headers, asset.content).into_response()
        }
        None => (StatusCode::NOT_FOUND, [(CACHE_CONTROL, "no-store")], "not found\n").into_response(),
    }
}

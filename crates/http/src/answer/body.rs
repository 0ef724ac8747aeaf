//! Reads bodies up to a limit.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};

use super::failure;

/// Reads a whole body of at most `most` bytes.
///
/// # Errors
///
/// If the body is longer, or does not arrive: the response to it.
pub async fn read<B, R>(body: B, most: usize) -> Result<Collected<Bytes>, Response<R>>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    R: From<String>,
{
    Limited::new(body, most).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            body_too_large(most)
        } else {
            failure(StatusCode::BAD_REQUEST, "body_incomplete", "the body did not arrive as announced")
        }
    })
}

/// Returns the response to a body of more than `most` bytes.
pub fn body_too_large<R: From<String>>(most: usize) -> Response<R> {
    let error = format!("the body is longer than {most} bytes");
    failure(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &error)
}

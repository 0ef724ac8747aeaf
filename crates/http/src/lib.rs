//! HTTP before and after a decision: reads an HTTP request into a request for a decision, and writes the decision as an
//! HTTP response or as JSON.
//!
//! - [`gateway`]: the request reader.
//! - [`wire`]: requests and decisions as JSON.
//! - [`answer`]: responses, with their headers.
//! - [`spop`]: the frames of HAProxy.
//! - [`tower`]: the layer for axum and hyper gateways.
//! - [`http_requests`]: the rules W1 to W6 of the request reader.
#![forbid(unsafe_code)]

mod access;
pub mod answer;
pub mod gateway;
pub mod spop;
pub mod tower;
pub mod wire;

#[doc = include_str!("../../../docs/http-requests.md")]
pub mod http_requests {}

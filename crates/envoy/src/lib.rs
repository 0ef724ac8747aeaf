//! The Envoy module: an HTTP filter that decides requests inside Envoy's own process, without a second hop.
//!
//! Envoy loads `libportcullis_envoy.so` as a dynamic module. `docs/gateways.md` has a configuration to copy.
//!
//! - `options`: the configuration of the filter, and of a route.
//! - `policies`: the policies that follow their files. All filters and workers of a process share them.
//! - `filter`: reads a request, decides it, and changes its headers or answers it.
//! - `statistics` and `metadata`: what Envoy's metrics and access logs show.
//!
//! The filter decides as the sidecar does: the request reader and the responses are those of `portcullis-http`. Every
//! failure is a denial.
#![forbid(unsafe_code)]

mod filter;
mod metadata;
mod options;
mod policies;
mod statistics;

use portcullis_envoy_abi::{Call, Definitions, Flow, Module, Response};

use filter::Progress;
use options::{FilterOptions, RouteOptions};
use policies::Live;
use statistics::Statistics;

/// The module.
#[derive(Debug)]
struct Portcullis;

/// The configuration of a filter.
#[derive(Debug)]
struct Configuration {
    options: FilterOptions,
    live: std::sync::Arc<Live>,
    statistics: Statistics,
}

impl Module for Portcullis {
    type Configuration = Configuration;
    type Route = RouteOptions;
    type State = Progress;

    fn configure(define: &Definitions<'_>, text: &[u8]) -> Result<Configuration, String> {
        let options = FilterOptions::read(text).map_err(|error| format!("`filter_config`: {error}"))?;
        let statistics = Statistics::define(define).map_err(|error| error.to_string())?;
        let live = policies::open(&options.policy, options.poll)?;
        Ok(Configuration { options, live, statistics })
    }

    fn configure_route(text: &[u8]) -> Result<RouteOptions, String> {
        RouteOptions::read(text).map_err(|error| format!("`filter_config` of a route: {error}"))
    }

    fn headers(call: &mut Call<'_, Self>, is_end: bool) -> Flow {
        filter::headers(call, is_end)
    }

    fn body(call: &mut Call<'_, Self>, is_end: bool) -> Flow {
        filter::body(call, is_end)
    }

    fn trailers(call: &mut Call<'_, Self>) -> Flow {
        filter::trailers(call)
    }

    fn failed() -> Response {
        filter::failed()
    }
}

portcullis_envoy_abi::export!(Portcullis);

//! Protection of the program and admin endpoints from web pages: checks of host names, origins and content types.
//!
//! Any web page can make a browser post to a loopback address. With DNS rebinding it can also read the responses. Gateway
//! endpoints are not protected: gateways pass on the client's own `Host` and `Origin`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::Address;
use portcullis_http::answer::{Cors, failure};

/// The host names that one listener accepts.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    /// The accepted names; `None` accepts every name.
    names: Option<Vec<String>>,
}

impl Hosts {
    /// Checks names on loopback addresses and, if `names` is not empty, on all TCP addresses; `*` accepts every name. Where
    /// names are checked, `own_name` is accepted, too.
    pub(crate) fn new(address: &Address, names: &[String], own_name: Option<&str>) -> Self {
        let is_checked = match address {
            Address::Unix(_) => false,
            Address::Tcp(address) => !names.is_empty() || address.ip().to_canonical().is_loopback(),
        };
        let is_checked = is_checked && names.iter().all(|name| name != "*");
        Self { names: is_checked.then(|| names.iter().cloned().chain(own_name.map(str::to_owned)).collect()) }
    }

    fn accepts(&self, authority: &str) -> bool {
        let Some(names) = &self.names else { return true };
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        let name = authority.host();
        let unbracketed = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let ip = match unbracketed {
            Some(name) => name.parse::<Ipv6Addr>().map(IpAddr::V6),
            None => name.parse::<Ipv4Addr>().map(IpAddr::V4),
        };
        let is_loopback = ip.as_ref().is_ok_and(|ip| ip.to_canonical().is_loopback());
        let ip = ip.ok().map(|ip| ip.to_string());
        is_loopback
            || name.eq_ignore_ascii_case("localhost")
            || names.iter().any(|known| name.eq_ignore_ascii_case(known) || ip.as_deref() == Some(known))
    }

    /// Returns the error response if the request names another host.
    fn refusal(&self, request: &Request) -> Option<Response> {
        let hosts = request.headers().get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
        // No browser leaves out the host name; health checks over HTTP/1.0 do.
        let mut called = request.uri().authority().map(Authority::as_str).into_iter().chain(hosts);
        if called.all(|name| self.accepts(name)) {
            return None;
        }
        let error = "the request names another host: use `localhost`, or allow the name with `--allow-host`";
        Some(failure(StatusCode::FORBIDDEN, "host_not_allowed", error))
    }
}

/// Answers 403 to requests that name another host.
pub(crate) async fn check_host(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    match hosts.refusal(&request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

/// The host names and origins that one listener accepts.
#[derive(Debug)]
pub(crate) struct Sites {
    hosts: Hosts,
    cors: Cors,
}

impl Sites {
    /// Creates the check of a listener: see [`Hosts::new`].
    pub(crate) fn new(address: &Address, names: &[String], own_name: Option<&str>, cors: Cors) -> Self {
        Self { hosts: Hosts::new(address, names, own_name), cors }
    }

    /// Returns the error response if the request is refused.
    fn refusal(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        if let Some(refusal) = self.hosts.refusal(request) {
            return Some(refusal);
        }
        if headers.get_all(ORIGIN).iter().any(|origin| !origin.to_str().is_ok_and(|origin| self.cors.allows(origin))) {
            let error = "the request comes from a web page: allow its origin with `--cors-origin`";
            return Some(failure(StatusCode::FORBIDDEN, "origin_not_allowed", error));
        }
        if request.method() == Method::POST && !is_json(headers) {
            let error = "expected `content-type: application/json`";
            // AuthZEN has no other status for a request that cannot be read.
            let is_authzen = request.uri().path().starts_with("/access/");
            let status = if is_authzen { StatusCode::BAD_REQUEST } else { StatusCode::UNSUPPORTED_MEDIA_TYPE };
            return Some(failure(status, "json_expected", error));
        }
        None
    }
}

/// Whether there is one content type, JSON in UTF-8. Browsers send it across sites only after a preflight.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(found), None) = (types.next(), types.next()) else { return false };
    let Ok(found) = found.to_str() else { return false };
    let mut parts = found.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = |part: &str| {
        part.split_once('=').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    };
    is_json && parts.all(is_utf8)
}

/// Answers 403 to requests from web pages, and 415 to posts that are not JSON; AuthZEN has 400 for these.
pub(crate) async fn check(State(sites): State<Arc<Sites>>, request: Request, next: Next) -> Response {
    match sites.refusal(&request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_server_are_accepted_on_loopback() {
        let loopback = "127.0.0.1:8181".parse().unwrap();
        let allowed = ["decide.internal".to_owned(), "fd00::1".to_owned()];
        let sites = Sites::new(&loopback, &allowed, Some("public.example"), Cors::None);
        for name in [
            "localhost",
            "LOCALHOST:8181",
            "127.0.0.1",
            "127.8.9.1:80",
            "[::1]",
            "[::1]:8181",
            "Decide.Internal:1",
            "[fd00::1]",
            "[FD00:0::1]:8181",
            "public.example",
        ] {
            assert!(sites.hosts.accepts(name), "{name}");
        }
        for name in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "evil.localhost",
            "10.0.0.1",
            "[::2]",
            "localhost@evil.example",
            "[::1",
            "a b",
        ] {
            assert!(!sites.hosts.accepts(name), "{name}");
        }
        let accepts = |address: &str, names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            Sites::new(&address.parse().unwrap(), &names, None, Cors::None).hosts.accepts("evil.example")
        };
        for (address, names, accepted) in [
            ("127.0.0.1:1", &[][..], false),
            ("[::1]:1", &[], false),
            ("[::ffff:127.0.0.1]:1", &[], false),
            ("127.0.0.1:1", &["*"], true),
            ("0.0.0.0:1", &[], true),
            ("0.0.0.0:1", &["decide.internal"], false),
            ("unix:/run/p.sock", &["decide.internal"], true),
        ] {
            assert_eq!(accepts(address, names), accepted, "{address} {names:?}");
        }
    }
}

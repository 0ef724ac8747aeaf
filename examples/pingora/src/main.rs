//! A gateway with Cloudflare's Pingora: a reverse proxy that decides every request in its own process. `SIGHUP` reloads
//! the policy.
//!
//! `cargo run -- ../policy.json 127.0.0.1:8080 127.0.0.1:9000`
#![forbid(unsafe_code)]

mod decide;

use std::error::Error;
use std::net::SocketAddr;

use async_trait::async_trait;
use pingora_core::server::{Server, ShutdownWatch};
use pingora_core::services::background::{BackgroundService, background_service};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};
use portcullis_http::gateway::Reader;
use portcullis::{Authorizer, Options, Snapshot};
use portcullis_document::read_policy;
use tokio::signal::unix::{SignalKind, signal};

use decide::{Allowed, GENERATION, OWN, TOKEN_ID};

/// Forwards the requests that the current policy of the authorizer allows.
struct Gateway {
    authorizer: Authorizer,
    reader: Reader,
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Allowed;

    fn new_ctx(&self) -> Allowed {
        Allowed::default()
    }

    /// Decides the request before a connection to the upstream is opened.
    async fn request_filter(&self, session: &mut Session, allowed: &mut Allowed) -> pingora_core::Result<bool> {
        let verdict = match decide::body(session, &self.reader).await? {
            Ok(body) => decide::decide(&self.authorizer, &self.reader, session, body.as_deref()),
            Err(denied) => Err(denied),
        };
        match verdict {
            Ok(yes) => {
                *allowed = yes;
                Ok(false)
            }
            Err(denied) => {
                denied.answer(session).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut Allowed) -> pingora_core::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }

    /// Removes `x-portcullis-` headers of the client, and adds the headers of the decision.
    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        allowed: &mut Allowed,
    ) -> pingora_core::Result<()> {
        let forged: Vec<_> = request.headers.keys().filter(|name| name.as_str().starts_with(OWN)).cloned().collect();
        for name in &forged {
            request.remove_header(name);
        }
        if let Some(id) = &allowed.token_id {
            request.insert_header(TOKEN_ID, id)?;
        }
        request.insert_header(GENERATION, allowed.generation.to_string())
    }
}

/// Reloads the policy on `SIGHUP`.
struct Reload {
    authorizer: Authorizer,
    policy: String,
}

#[async_trait]
impl BackgroundService for Reload {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
        loop {
            tokio::select! {
                _ = hangup.recv() => reload(&self.authorizer, &self.policy),
                _ = shutdown.changed() => return,
            }
        }
    }
}

/// Reloads the policy. If it cannot be read, the last valid one stays active.
fn reload(authorizer: &Authorizer, path: &str) {
    let load = || -> Result<Snapshot, Box<dyn Error>> {
        Ok(Snapshot::compile(&read_policy(&std::fs::read_to_string(path)?)?, &Options::default())?)
    };
    match authorizer.reload(load) {
        Ok(swapped) => eprintln!("generation {} is in force", swapped.generation),
        Err(error) => eprintln!("generation {} stays: {error}", authorizer.current().number()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [policy, listen, upstream] = arguments.as_slice() else {
        return Err("usage: pingora-gateway POLICY LISTEN UPSTREAM".into());
    };
    let authorizer = Authorizer::unavailable();
    reload(&authorizer, policy);
    let gateway = Gateway { authorizer: authorizer.clone(), reader: Reader::default(), upstream: upstream.parse()? };

    let mut server = Server::new(None)?;
    server.bootstrap();
    let mut proxy = http_proxy_service(&server.configuration, gateway);
    proxy.add_tcp(listen);
    server.add_service(proxy);
    server.add_service(background_service("policy", Reload { authorizer, policy: policy.clone() }));
    server.run_forever()
}

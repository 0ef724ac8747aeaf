//! The sidecar's server with a decision that is always the same yes: what a server costs without deciding, for
//! `benches/load.sh`. It reads, counts, logs and answers as the sidecar does. Never for use: it allows everything.
//!
//! `cargo run --release --example constant_allow -- policy.json 127.0.0.1:8191 127.0.0.1:8192`

use std::sync::Arc;

use portcullis::authorizer::Current;
use portcullis::base::Timestamp;
use portcullis::decision::{Decision, Request, Source, decide};
use portcullis::{Options, Snapshot};
use portcullis_document::read_policy;
use portcullis_http::gateway::Reader;
use portcullis_server::operations::{Operations, OperationsOptions};
use portcullis_server::policy::Source as Policies;
use portcullis_server::{Authority, Decide, Instant, Server, ServerOptions};

/// A decision that was made once.
#[derive(Debug)]
struct Constant(Decision<'static>);

impl Constant {
    fn allow() -> Result<Self, Box<dyn std::error::Error>> {
        let policy = read_policy(
            r#"[{"id": "constant", "token": "s", "allowed_apis": ["maps"], "grants": [{"connection_name": "dw", "source": "a.b"}]}]"#,
        )?;
        // It lives as long as the server does.
        let snapshot = Box::leak(Box::new(Snapshot::compile(&policy, &Options::default())?));
        let request = Request::new("maps", "dw").secret("s").source(Source::Resource("a.b"));
        let decision = decide(snapshot, &request, Timestamp::from_unix(0, 0));
        if decision.is_allow() { Ok(Self(decision)) } else { Err("the one request is denied".into()) }
    }
}

impl Decide for Constant {
    fn decide<'a>(&'a self, _: &'a Current, _: &Request<'_>, _: Instant) -> (Option<&'a str>, Decision<'a>) {
        (Some("constant"), self.0.clone())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [policy, listen, admin] = arguments.as_slice() else {
        return Err("usage: constant_allow POLICY LISTEN ADMIN".into());
    };
    let operations = Operations::start(OperationsOptions::new(Policies::files([policy])?))?;
    let authority = Authority::new(operations, Reader::default()).with_decisions(Constant::allow()?);
    let options = ServerOptions { listen: listen.parse()?, admin: admin.parse()?, ..ServerOptions::default() };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let server = Server::bind(Arc::new(authority), options).await?;
        server.run(std::future::pending()).await;
        Ok(())
    })
}

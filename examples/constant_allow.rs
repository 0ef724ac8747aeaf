//! The sidecar's server with a decision that is always yes: what a server costs without deciding, for `benches/load.sh`.
//! It reads requests as the sidecar does. Never for use: it allows everything.
//!
//! `cargo run --release --example constant_allow -- policy.json 127.0.0.1:8191 127.0.0.1:8192`

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;

use portcullis::base::Timestamp;
use portcullis::decision::Request;
use portcullis::gateway::{HttpRequest, Reader};
use portcullis::server::operations::{Operations, OperationsOptions};
use portcullis::server::policy::Source;
use portcullis::server::{Decider, Ids, Outcome, Server, ServerOptions, Verdict};

#[derive(Debug)]
struct ConstantAllow {
    operations: Operations,
    reader: Reader,
}

impl ConstantAllow {
    fn yes() -> Verdict {
        let grants = std::iter::once(0).collect();
        Verdict { outcome: Outcome::Allow { grants }, generation: 1, token_id: Some("constant".to_owned()) }
    }
}

impl Decider for ConstantAllow {
    fn operations(&self) -> &Operations {
        &self.operations
    }

    fn ask(&self, request: &HttpRequest<'_>, _: Ids<'_>) -> Verdict {
        let _ = black_box(self.reader.read(black_box(request)));
        Self::yes()
    }

    fn not_understood(&self, _: Cow<'static, str>, _: Ids<'_>) -> Verdict {
        Self::yes()
    }

    fn decide(&self, _: &Request<'_>, _: Ids<'_>, _: Option<Timestamp>) -> Verdict {
        Self::yes()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [policy, listen, admin] = arguments.as_slice() else {
        return Err("usage: constant_allow POLICY LISTEN ADMIN".into());
    };
    let operations = Operations::start(OperationsOptions::new(Source::files([policy])?))?;
    let decider = ConstantAllow { operations, reader: Reader::default() };
    let options = ServerOptions { listen: listen.parse()?, admin: admin.parse()?, ..ServerOptions::default() };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let server = Server::bind(Arc::new(decider), options).await?;
        server.run(std::future::pending()).await;
        Ok(())
    })
}

//! A small gateway: decides requests on several threads, and reloads its policy.
//!
//! ```text
//! cargo run --example embed
//! ```

use std::error::Error;

use portcullis::authorizer::{Authorizer, Clock, SystemClock, Usage};
use portcullis::decision::{Decision, Request, Source};
use portcullis::snapshot::{Options, Snapshot};
use portcullis_document::load::{Input, LoadOptions, load};

/// The parts of an HTTP request that a gateway needs for a decision.
struct Incoming {
    token: Option<&'static str>,
    api: &'static str,
    connection: &'static str,
    table: &'static str,
    referer: Option<&'static str>,
}

const INCOMING: [Incoming; 3] = [
    Incoming {
        token: Some("demo-store-map"),
        api: "maps",
        connection: "carto_dw",
        table: "acme.public.stores",
        referer: Some("https://www.example.com/"),
    },
    Incoming {
        token: Some("demo-nightly-import"),
        api: "imports",
        connection: "warehouse",
        table: "sales.public.orders",
        referer: None,
    },
    Incoming { token: None, api: "maps", connection: "carto_dw", table: "acme.public.stores", referer: None },
];

/// Reads and compiles the policy file. The error lists all problems of the policy.
fn snapshot(path: &str) -> Result<Snapshot, Box<dyn Error>> {
    let policy = load(&[Input::from_path(path)?], &LoadOptions::default()).into_policy()?;
    Ok(Snapshot::compile(&policy, &Options::default())?)
}

/// Decides one request. Returns the HTTP status and the text for the log.
fn answer(authorizer: &Authorizer, incoming: &Incoming) -> (u16, String) {
    let mut request = Request::new(incoming.api, incoming.connection).source(Source::Resource(incoming.table));
    if let Some(token) = incoming.token {
        request = request.secret(token);
    }
    if let Some(referer) = incoming.referer {
        request = request.referer(referer);
    }
    // Loads the generation once for each request, so that one generation decides the whole request.
    let current = authorizer.current();
    match current.decide(&request, SystemClock.now()) {
        Decision::Allow(allow) => (200, format!("token {} by grants {:?}", allow.token(), allow.grants())),
        Decision::Deny(reason) => (reason.status(), reason.to_string()),
    }
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/policy.json");
    // Until the first policy is loaded, all requests are denied.
    let usage = Usage::default();
    let authorizer = Authorizer::counting(usage.clone());
    let swapped = authorizer.reload(|| snapshot(path))?;
    println!("generation {}", swapped.generation);

    // Handles are cheap to clone: give one to each thread.
    std::thread::scope(|scope| {
        for incoming in &INCOMING {
            let authorizer = authorizer.clone();
            scope.spawn(move || {
                let (status, log) = answer(&authorizer, incoming);
                println!("{status} {} {}: {log}", incoming.api, incoming.table);
            });
        }
    });

    // Usage counters show which tokens are in use.
    if let Some(used) = usage.token("store-map") {
        println!("store-map was allowed {} times", used.allowed);
    }

    // If a policy cannot be read, the last valid one stays active.
    if let Err(error) = authorizer.reload(|| snapshot("no-such-policy.json")) {
        println!("still generation {}: {error}", authorizer.current().number());
    }
    Ok(())
}

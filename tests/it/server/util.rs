//! Policies to serve, and waiting for what is true eventually.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis::Authorizer;
use portcullis::base::Timestamp;
use portcullis::decision::{Reason, Request, Source as Asked};
use portcullis_server::policy::{LiveOptions, LivePolicy, Source};
use portcullis_server::{Decided, Ids};

/// Part of every secret here: nothing that is written may hold it.
pub(super) const SECRET: &str = "s3cr3t-of-the-test";

/// A policy whose only token may read `db.<table>`.
pub(super) fn policy(table: &str) -> String {
    format!(
        r#"{{"connections": [{{"name": "dw", "dialect": "postgres"}}], "tokens": [{{"id": "only_{table}", "token": "{SECRET}",
            "allowed_apis": ["maps"], "grants": [{{"connection_name": "dw", "source": "db.{table}"}}]}}]}}"#
    )
}

pub(super) fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// Why `db.<table>` may not be read; `None` if it may.
pub(super) fn denied(authorizer: &Authorizer, table: &str) -> Option<Reason> {
    let name = format!("db.{table}");
    let request = Request::new("maps", "dw").secret(SECRET).source(Asked::Resource(&name));
    authorizer.current().decide(&request, now()).reason()
}

/// Waits until `is` holds; how long that took.
#[track_caller]
pub(super) fn eventually(what: &str, mut is: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    begun.elapsed()
}

/// A live policy with the authorizer that it feeds.
pub(super) fn serve(source: &Source, options: LiveOptions) -> (LivePolicy, Authorizer) {
    let authorizer = Authorizer::unavailable();
    (LivePolicy::start(source, authorizer.clone(), options).unwrap(), authorizer)
}

/// Decides, and calls `tell` with all that observers are told.
pub(super) fn decide_and(
    authorizer: &Authorizer,
    request: &Request<'_>,
    at: Timestamp,
    tell: impl FnOnce(&Decided<'_>),
) {
    let current = authorizer.current();
    let (token_id, decision) = current.decide_identified(request, at);
    let generation = current.number();
    let took = Duration::from_nanos(321);
    tell(&Decided {
        at,
        evaluated_at: None,
        ids: Ids { request: Some("r-1"), trace: None },
        generation,
        token_id,
        request: Some(request),
        decision: &decision,
        took,
    });
}

/// Sets it at the end of a scope, however that is left.
pub(super) struct SetWhenDropped<'a>(pub(super) &'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

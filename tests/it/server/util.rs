//! Policies to serve, and waiting for a condition.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis::Authorizer;
use portcullis::base::Timestamp;
use portcullis::decision::{Reason, Request, Source as RequestSource};
use portcullis_server::policy::{LiveOptions, LivePolicy, Source};
use portcullis_server::{Decided, Ids};

/// A part of every secret in these tests: no output may contain it.
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

/// Returns why `db.<table>` may not be read; `None` if it may.
pub(super) fn denied(authorizer: &Authorizer, table: &str) -> Option<Reason> {
    let name = format!("db.{table}");
    let request = Request::new("maps", "dw").secret(SECRET).source(RequestSource::Resource(&name));
    authorizer.current().decide(&request, now()).reason()
}

/// Waits until `is` holds; returns how long that took.
#[track_caller]
pub(super) fn eventually(what: &str, mut is: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < Duration::from_mins(1), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
    started.elapsed()
}

/// Starts a live policy, and returns it with its authorizer.
pub(super) fn serve(source: &Source, options: LiveOptions) -> (LivePolicy, Authorizer) {
    let authorizer = Authorizer::unavailable();
    (LivePolicy::start(source, authorizer.clone(), options).unwrap(), authorizer)
}

/// Decides a request, and calls `observe` with the decision as observers receive it.
pub(super) fn decide_and(
    authorizer: &Authorizer,
    request: &Request<'_>,
    at: Timestamp,
    observe: impl FnOnce(&Decided<'_>),
) {
    let current = authorizer.current();
    let (token_id, decision) = current.decide_identified(request, at);
    let generation = current.number();
    let took = Duration::from_nanos(321);
    observe(&Decided {
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

/// Sets the flag when it is dropped: at the end of a scope, even on a panic.
pub(super) struct SetWhenDropped<'a>(pub(super) &'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

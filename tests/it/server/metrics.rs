//! The metrics that operators scrape.

use std::sync::Arc;
use std::time::Duration;

use portcullis::decision::{Decision, Reason, Request};
use portcullis_server::decision_log::LogCounts;
use portcullis_server::metrics::{Connections, Format, Listening, Load, Metrics, Scrape};
use portcullis_server::policy::{LiveOptions, Source};
use portcullis_server::{CertificateReport, Decided, Ids};

use super::util::{decide_and, now, policy, serve};

#[test]
fn every_decision_is_counted_once_under_its_labels() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    let text = r#"{"apis": [{"name": "tiles", "accepts": ["all"]}], "tokens": [{"id": "a", "token": "x", "allowed_apis": ["lds", "tiles"],
        "grants": [{"connection_name": "dw", "type": "all"}]}]}"#;
    std::fs::write(&file, text).unwrap();
    let (live, authorizer) = serve(&Source::files([&file]).unwrap(), LiveOptions::default());
    let metrics = Arc::new(Metrics::new());
    let table = portcullis::decision::Source::Resource("db.t");
    let requests = [
        (Request::new("lds", "").secret("x"), 3),
        (Request::new("lds", ""), 2),
        (Request::new("tiles", "dw").secret("x").source(table), 4),
        (Request::new("tiles", "dw").secret("y").source(table), 1),
        (Request::new("made up by a client", "dw").secret("x").source(table), 5),
        (Request::new("made up again", "dw").secret("x").source(table), 1),
    ];
    for (request, times) in requests {
        for _ in 0..times {
            decide_and(&authorizer, &request, now(), |decided| metrics.record(decided));
        }
    }
    let not_understood = Decision::Deny(Reason::RequestNotUnderstood);
    let took = Duration::from_secs(2);
    metrics.record(&Decided {
        at: now(),
        evaluated_at: None,
        ids: Ids::default(),
        generation: 1,
        token_id: None,
        request: None,
        decision: &not_understood,
        took,
    });
    let log = Some(LogCounts { written: 7, dropped: 1, failed: 2, left_out: 3 });
    let load = Some(Load { in_flight: 4, shed: 9 });
    let closed = [("idle", 1), ("request_incomplete", 2), ("answer_unread", 3)];
    let connections =
        vec![("decisions", Connections { open: 5, refused: 6, not_accepted: 8, closed, buffered_bytes: 7 })];
    let report = live.status().report();
    let shadow = Some((report.clone(), vec![("none", 5), ("allow_to_deny", 2)]));
    let certificates = vec![("decisions", CertificateReport { expires: 1_800_000_000, is_stale: true })];
    let listening = Listening { load, connections, certificates };
    let scrape = Scrape { now: now(), policy: report, shadow, log, listening };
    let text = metrics.text(Format::OpenMetrics, scrape.clone());
    let expected = [
        r#"portcullis_decisions_total{api="lds",outcome="allow",reason=""} 3"#,
        r#"portcullis_decisions_total{api="lds",outcome="deny",reason="token_missing"} 2"#,
        r#"portcullis_decisions_total{api="tiles",outcome="allow",reason=""} 4"#,
        r#"portcullis_decisions_total{api="tiles",outcome="deny",reason="token_unknown"} 1"#,
        r#"portcullis_decisions_total{api="other",outcome="deny",reason="api_not_allowed"} 6"#,
        r#"portcullis_decisions_total{api="none",outcome="deny",reason="request_not_understood"} 1"#,
        r#"portcullis_decisions_total{api="sql",outcome="allow",reason=""} 0"#,
        "portcullis_decision_duration_seconds_count 17",
        r#"portcullis_decision_duration_seconds_bucket{le="2.5e-7"} 0"#,
        r#"portcullis_decision_duration_seconds_bucket{le="5e-7"} 16"#,
        r#"portcullis_decision_duration_seconds_bucket{le="1.0"} 16"#,
        r#"portcullis_decision_duration_seconds_bucket{le="+Inf"} 17"#,
        r#"portcullis_policy_generation{policy="live"} 1.0"#,
        r#"portcullis_policy_tokens{policy="live"} 1.0"#,
        r#"portcullis_policy_stale{policy="shadow"} 0.0"#,
        r#"portcullis_reloads_total{policy="live",outcome="loaded"} 1"#,
        r#"portcullis_reloads_total{policy="live",outcome="failed"} 0"#,
        r#"portcullis_shadow_decisions_total{difference="allow_to_deny"} 2"#,
        r#"portcullis_log_lines_total{end="dropped"} 1"#,
        "portcullis_requests_in_flight 4.0",
        "portcullis_requests_shed_total 9",
        r#"portcullis_connections_open{listener="decisions"} 5.0"#,
        r#"portcullis_connections_refused_total{listener="decisions"} 6"#,
        r#"portcullis_accept_failures_total{listener="decisions"} 8"#,
        r#"portcullis_connections_closed_total{listener="decisions",cause="answer_unread"} 3"#,
        r#"portcullis_buffered_bytes{listener="decisions"} 7.0"#,
        r#"portcullis_certificate_expiry_timestamp_seconds{listener="decisions"} 1800000000.0"#,
        r#"portcullis_certificate_stale{listener="decisions"} 1.0"#,
    ];
    for line in expected {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    // No label contains a name that a client made up, or a token.
    assert!(!text.contains("made up") && !text.contains("\"a\""), "{text}");
    super::exposition::check(&metrics.text(Format::Prometheus, scrape), &text);
    let documented = std::fs::read_to_string(crate::repository().join("docs/operations.md")).unwrap();
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(documented.contains(&format!("`{name}")), "`{name}` is not in docs/operations.md");
    }
}

#[test]
fn counting_on_all_cores_loses_nothing_and_allocates_nothing() {
    let _ = policy("t");
    let metrics = Arc::new(Metrics::new());
    let denied = Decision::Deny(Reason::TokenMissing);
    let request = Request::new("maps", "dw");
    let decided = Decided {
        at: now(),
        evaluated_at: None,
        ids: Ids::default(),
        generation: 1,
        token_id: None,
        request: Some(&request),
        decision: &denied,
        took: Duration::from_nanos(300),
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(|_| metrics.record(&decided)));
        }
    });
    let text = metrics.text(Format::OpenMetrics, Scrape::at(now()));
    assert!(text.contains(r#"{api="maps",outcome="deny",reason="token_missing"} 40000"#), "{text}");
    let allocated = allocation_counter::measure(|| metrics.record(&decided)).count_total;
    assert_eq!(allocated, 0);
}

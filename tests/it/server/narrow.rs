//! A server with `only_narrow`, which never allows more than it did.

use std::fs;
use std::path::Path;

use portcullis::decision::Reason;
use portcullis_server::policy::{LiveOptions, Outcome, Source};

use super::util::{SECRET, denied, serve};

fn only_narrow(folder: &Path) -> LiveOptions {
    LiveOptions { only_narrow: true, state_dir: Some(folder.join("state")), ..LiveOptions::default() }
}

/// A policy whose only token may read `sources`.
fn policy(sources: &[&str]) -> String {
    let grants: Vec<String> =
        sources.iter().map(|source| format!(r#"{{"connection_name": "dw", "source": "{source}"}}"#)).collect();
    format!(r#"[{{"id": "a", "token": "{SECRET}", "allowed_apis": ["maps"], "grants": [{}]}}]"#, grants.join(","))
}

#[test]
fn only_narrow_rejects_wider_and_activates_narrower_policies() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    let source = Source::files([&file]).unwrap();
    fs::write(&file, policy(&["db.a*", "db.one"])).unwrap();
    let (live, authorizer) = serve(&source, only_narrow(folder.path()));
    assert_eq!(denied(&authorizer, "one"), None);

    fs::write(&file, policy(&["db.a*", "db.one", "db.two"])).unwrap();
    assert_eq!(live.reload_now(), Outcome::Failed);
    let report = live.status().report();
    let problem = &report.failure.unwrap().problems[0];
    assert!(problem.contains("wider than the active policy: token `a` gains resource db.two on dw"), "{problem}");
    assert!(problem.contains("newly allowed would be token `a`, api `maps`, resource `db.two` on `dw`"), "{problem}");
    assert!(!problem.contains(SECRET));
    assert_eq!((report.generation, denied(&authorizer, "two")), (1, Some(Reason::SourceNotGranted)));

    // Narrower, although it is written differently.
    fs::write(&file, policy(&["db.ab*", "db.ac"])).unwrap();
    assert_eq!(live.reload_now(), Outcome::Loaded);
    assert_eq!(denied(&authorizer, "one"), Some(Reason::SourceNotGranted));
    assert_eq!(denied(&authorizer, "ac"), None);
    assert!(live.status().report().failure.is_none());
    drop((live, authorizer));

    // A restart does not circumvent the check.
    fs::write(&file, policy(&["db.*"])).unwrap();
    let (live, authorizer) = serve(&source, only_narrow(folder.path()));
    assert_eq!(denied(&authorizer, "one"), Some(Reason::SourceNotGranted));
    assert_eq!(denied(&authorizer, "abc"), None);
    assert!(live.status().report().failure.is_some());
}

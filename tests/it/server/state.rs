//! The last good policy outlives the process; its secrets do not.

use std::fs;
use std::path::Path;
use std::time::Duration;

use portcullis::base::Timestamp;
use portcullis::decision::{Reason, Request};
use portcullis::{Authorizer, Options, Snapshot};
use portcullis_document::load::{Input, LoadOptions, load};
use portcullis_registry::{Actor, Location, NewToken, Registry};
use portcullis_server::policy::{Contents, LiveOptions, LivePolicy, Origin, Outcome, Source, StateDir, StateError};

use super::util::{SECRET, denied, eventually, now, policy, serve};

fn with_state(folder: &Path) -> LiveOptions {
    LiveOptions { state_dir: Some(folder.join("state")), ..LiveOptions::default() }
}

#[test]
fn a_restart_with_a_broken_source_serves_the_last_good_policy() {
    type Break = fn(&Path);
    let breaks: [(&str, Break); 3] = [
        ("missing", |file| fs::remove_file(file).unwrap()),
        ("broken", |file| fs::write(file, "{").unwrap()),
        ("empty", |file| fs::write(file, "").unwrap()),
    ];
    for (how, spoil) in breaks {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.json");
        fs::write(&file, policy("one")).unwrap();
        let source = Source::files([&file]).unwrap();
        let first = serve(&source, with_state(folder.path())).0;
        assert_eq!(first.status().report().not_saved, None);
        drop(first);

        spoil(&file);
        let (second, authorizer) = serve(&source, with_state(folder.path()));
        assert_eq!(denied(&authorizer, "one"), None, "{how}");
        assert_eq!(denied(&authorizer, "two"), Some(Reason::SourceNotGranted), "{how}");
        let report = second.status().report();
        assert_eq!(report.origin, Some(Origin::Saved), "{how}");
        assert!(report.failure.is_some(), "{how}");
        drop(second);

        // The saved policy is still there. Once the source is complete again, it takes precedence over the saved policy.
        fs::write(&file, policy("two")).unwrap();
        let (third, authorizer) = serve(&source, with_state(folder.path()));
        assert_eq!(denied(&authorizer, "two"), None, "{how}");
        assert_eq!(third.status().report().origin, Some(Origin::Source), "{how}");
    }
}

#[test]
fn saved_policy_holds_no_secret_and_is_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    fs::write(&file, policy("one")).unwrap();
    drop(serve(&Source::files([&file]).unwrap(), with_state(folder.path())));
    let mut found = 0;
    for entry in fs::read_dir(folder.path().join("state")).unwrap() {
        let path = entry.unwrap().path();
        assert!(!fs::read_to_string(&path).unwrap().contains(SECRET), "{}", path.display());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
        found += 1;
    }
    assert_eq!(found, 2, "the policy and the lock");
}

#[test]
fn damaged_state_and_other_sources_are_reported_and_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(folder.path()).unwrap();
    let saved = folder.path().join("policy.json");
    assert!(matches!(state.saved("a"), Ok(None)));
    let documents = Contents::Documents(vec![Input::new("a.json", r#"{"tokens": []}"#)]);
    state.save("a", &documents, now()).unwrap();
    let (read, at): (Contents, Timestamp) = state.saved("a").unwrap().unwrap();
    assert_eq!((&read, at), (&documents, now()));
    assert!(matches!(state.saved("b"), Err(StateError::OtherSource { .. })));

    let good = fs::read_to_string(&saved).unwrap();
    let cases = [
        ("cut", good[..good.len() / 2].to_owned(), "the JSON is cut off"),
        ("changed", good.replace("\"tokens\"", "\"Tokens\""), "checksum"),
        ("newer", good.replace("\"portcullis_state\":1", "\"portcullis_state\":2"), "version is 2"),
        ("empty", String::new(), "the JSON is cut off"),
    ];
    for (case, text, reason) in cases {
        assert_ne!(text, good, "{case}");
        fs::write(&saved, text).unwrap();
        let error = state.saved("a").unwrap_err().to_string();
        assert!(error.contains(reason), "{case}: {error}");
    }
}

#[test]
fn compiled_policy_is_served_watched_and_saved() {
    let folder = tempfile::tempdir().unwrap();
    let (file, state) = (folder.path().join("policy.pcls"), folder.path().join("state"));
    let compiled = |resource: &str| {
        let policy = portcullis_document::read_policy(policy(resource)).unwrap();
        let mut bytes = Vec::new();
        Snapshot::compile(&policy, &Options::default()).unwrap().write(&mut bytes).unwrap();
        bytes
    };
    let kept = || {
        let names = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("policy")).collect();
        names.sort();
        names
    };
    fs::write(&file, compiled("one")).unwrap();
    let source = Source::files([&file]).unwrap();
    let (live, authorizer) = serve(&source, with_state(folder.path()));
    assert_eq!(denied(&authorizer, "one"), None);
    assert_eq!(live.status().report().not_saved, None);
    let first = kept();
    assert_eq!(first.len(), 2, "{first:?}");

    fs::write(&file, compiled("two")).unwrap();
    assert_eq!(live.reload_now(), Outcome::Loaded);
    assert_eq!(denied(&authorizer, "two"), None);
    assert_eq!(live.reload_now(), Outcome::Unchanged);
    let second = kept();
    assert!(second.len() == 2 && second != first, "the first is not needed any more: {second:?}");

    // An incomplete one changes only the status, which reports its kind.
    let half = compiled("one");
    fs::write(&file, &half[..half.len() / 2]).unwrap();
    assert_eq!(live.reload_now(), Outcome::Failed);
    assert_eq!(denied(&authorizer, "two"), None);
    let problems = live.status().report().failure.unwrap().problems;
    assert!(problems[0].starts_with("incomplete compiled policy: "), "{problems:?}");
    drop((live, authorizer));

    let (live, authorizer) = serve(&source, with_state(folder.path()));
    assert_eq!(live.status().report().origin, Some(Origin::Saved));
    assert_eq!(denied(&authorizer, "two"), None);

    // Documents may replace it.
    fs::write(&file, policy("three")).unwrap();
    assert_eq!(live.reload_now(), Outcome::Loaded);
    assert_eq!(denied(&authorizer, "three"), None);
    assert_eq!(kept(), ["policy.json"]);
    drop((live, authorizer));

    // A damaged saved policy is not served.
    fs::write(&file, compiled("one")).unwrap();
    drop(serve(&source, with_state(folder.path())));
    let name = state.join(&kept()[0]);
    let mut damaged = fs::read(&name).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&name, damaged).unwrap();
    fs::remove_file(&file).unwrap();
    let (live, authorizer) = serve(&source, with_state(folder.path()));
    assert!(!live.status().is_ready());
    assert_eq!(denied(&authorizer, "one"), Some(Reason::PolicyUnavailable));
}

#[test]
fn a_state_directory_is_used_by_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = StateDir::open(folder.path()).unwrap();
    let source = Source::files([folder.path().join("none.json")]).unwrap();
    let options = LiveOptions { state_dir: Some(folder.path().to_owned()), ..LiveOptions::default() };
    let error = LivePolicy::start(&source, Authorizer::unavailable(), options).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    // Opening the directory waits until the ending process releases it.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            drop(first);
        });
        StateDir::open(folder.path()).unwrap();
    });
}

/// The saved documents load as the same policy: the same tokens by digest, with everything else compiled to the same bytes.
#[test]
fn saved_documents_differ_only_in_secrets() {
    let all = r#"{
        "version": 1,
        "connections": [{"name": "dw", "dialect": "snowflake", "named_sources_only": true}, {"name": "bq"}],
        "apis": [{"name": "tiles", "accepts": ["resource", "all"]}],
        "tokens": [
            {"id": "a", "name": "A \"quoted\" é", "owner": null, "token": "s3cr3t-of-the-test", "allowed_apis": ["maps", "tiles", "sql"],
             "grants": [{"connection_name": "dw", "source": "db.\"X y\".*"}, {"connection_name": "bq", "type": "all"},
                        {"connection_name": "bq", "source": "select  1 -- s\n", "type": "query"},
                        {"connection_name": "bq", "source": "daily_one"}],
             "referers": ["https://*.example.com/", "https://a.example/x/*"], "expiration_date": "2031-01-01", "created_at": "2026-01-01T00:00:00Z"},
            {"id": "b", "token_sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "allowed_apis": ["lds"], "owner": "ana"},
            {"id": "bad", "token": "s3cr3t-of-the-test-2", "allowed_apis": ["maps"], "grants": [{"connection_name": "dw", "source": "x"}]},
            {"id": "a", "token": "s3cr3t-of-the-test-3", "allowed_apis": ["lds"]},
            "s3cr3t-of-the-test-4"
        ]
    }"#;
    let lines = r#"{"id": "c", "token": "s3cr3t-of-the-test-5", "allowed_apis": ["lds"]}"#;
    let inputs = [Input::new("all.json", all), Input::new("lines.jsonl", format!("{lines}\n"))];
    let options = LoadOptions { skip_invalid: true, digested: true, ..LoadOptions::default() };
    let loaded = load(&inputs, &options);
    assert_eq!(loaded.skipped, 3);
    let policy = loaded.policy.clone().unwrap();
    let kept = loaded.into_digested().unwrap();
    for input in &kept {
        assert!(!input.text().contains(SECRET), "{}", input.text());
    }
    let again = load(&kept, &LoadOptions::default()).into_policy().unwrap();
    assert_eq!(format!("{policy:#?}"), format!("{again:#?}"));
    let report = |policy| Snapshot::compile(policy, &Options::default()).unwrap().report().clone();
    assert_eq!(report(&policy), report(&again));
    // A policy that is rejected is not saved.
    let rejected = LoadOptions { digested: true, ..LoadOptions::default() };
    assert_eq!(load(&inputs, &rejected).into_digested(), None);
}

/// With `only_narrow`, the source holds a rejected policy: it must not become the saved one.
#[test]
fn changed_state_directory_gets_the_active_policy_and_not_that_of_the_source() {
    type Spoil = fn(&Path, &[u8]);
    let spoils: [(&str, Spoil); 3] = [
        ("emptied", |saved, _| fs::remove_file(saved).unwrap()),
        ("truncated", |saved, _| fs::write(saved, "").unwrap()),
        ("restored from a backup", |saved, old| fs::write(saved, old).unwrap()),
    ];
    for (how, spoil) in spoils {
        let folder = tempfile::tempdir().unwrap();
        let (file, saved) = (folder.path().join("policy.json"), folder.path().join("state/policy.json"));
        fs::write(&file, policy("one")).unwrap();
        let source = Source::files([&file]).unwrap();
        let options = || LiveOptions { only_narrow: true, ..with_state(folder.path()) };
        let (live, authorizer) = serve(&source, options());
        let old = fs::read(&saved).unwrap();
        fs::write(&file, r#"{"tokens": []}"#).unwrap();
        assert_eq!(live.reload_now(), Outcome::Loaded, "{how}");
        assert_eq!(denied(&authorizer, "one"), Some(Reason::TokenUnknown), "{how}");
        fs::write(&file, policy("one")).unwrap();
        assert_eq!(live.reload_now(), Outcome::Failed, "{how}");

        spoil(&saved, &old);
        eventually(how, || fs::read(&saved).is_ok_and(|text| !text.is_empty() && text != old));
        eventually(how, || live.status().report().not_saved.is_none());
        drop((live, authorizer));
        let (_live, authorizer) = serve(&source, options());
        assert_eq!(denied(&authorizer, "one"), Some(Reason::TokenUnknown), "{how}");
    }
}

#[test]
fn revocation_in_a_registry_is_saved_at_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registry.db");
    let mut registry = Registry::open(&Location::file(&file), true).unwrap();
    let ana = Actor::new("ana", now()).unwrap();
    registry.add_connection(&ana, "dw", "postgres", None, false).unwrap();
    let new = NewToken { apis: vec!["lds".into()], ..NewToken::default() };
    let [kept, revoked] = [(); 2].map(|()| registry.create_token(&ana, &new).unwrap());
    let source = Source::registry(Location::file(&file));
    let reason = |authorizer: &Authorizer, secret: &str| {
        authorizer.current().decide(&Request::new("lds", "").secret(secret), now()).reason()
    };

    let (live, authorizer) = serve(&source, with_state(folder.path()));
    assert_eq!(reason(&authorizer, revoked.secret.expose()), None);
    registry.delete_token(&ana, &revoked.token.id, true).unwrap();
    eventually("it is revoked", || reason(&authorizer, revoked.secret.expose()) == Some(Reason::TokenUnknown));
    drop((live, authorizer, registry));

    fs::rename(&file, folder.path().join("away.db")).unwrap();
    let (live, authorizer) = serve(&source, with_state(folder.path()));
    assert_eq!(live.status().report().origin, Some(Origin::Saved));
    assert_eq!(reason(&authorizer, revoked.secret.expose()), Some(Reason::TokenUnknown));
    assert_eq!(reason(&authorizer, kept.secret.expose()), None);
}

//! Edits of a few tokens: an edited snapshot decides like a snapshot of the edited policy.

use std::sync::atomic::{AtomicBool, Ordering};

use portcullis::authorizer::{Authorizer, Usage};
use portcullis::decision::{Reason, Request, Source};
use portcullis::model::Policy;
use portcullis::snapshot::{EditError, Editor, Options};
use portcullis_document::load;
use portcullis_testkit::reference::Reference;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::choices::{bytes, config};
use crate::document::list;
use crate::engine::{by_engine, by_explanation, policy, snapshot, strategies};
use crate::generate::{World, worlds};
use crate::request::{OwnedRequest, Presented};

fn now() -> portcullis::base::Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn token(id: &str, source: &str) -> Value {
    json!({ "id": id, "token": format!("secret-{id}"), "allowed_apis": ["maps"], "grants": [{ "connection_name": "dw", "source": source }] })
}

fn editor(tokens: &[Value]) -> Editor {
    Editor::new(&policy(&json!({ "tokens": tokens })), &Options::default()).unwrap()
}

/// Reads `tokens` with the connections and APIs that the editor knows.
fn read(editor: &Editor, tokens: &[Value]) -> Policy {
    load::tokens(json!(tokens).to_string(), editor.known()).unwrap()
}

fn request<'r>(secret: &'r str, table: &'r str) -> Request<'r> {
    Request::new("maps", "dw").secret(secret).source(Source::Resource(table))
}

#[test]
fn edits_that_make_the_policy_invalid_are_rejected() {
    let named = |id: &str, name: &str| {
        let mut token = token(id, "a.b");
        (token["name"], token["owner"]) = (json!(name), json!("ana"));
        token
    };
    let with_secret = |id: &str, of: &str| {
        let mut token = token(id, "a.b");
        token["token"] = json!(format!("secret-{of}"));
        token
    };
    let mut editor = editor(&[named("a", "first"), named("b", "second")]);
    let refused = |editor: &mut Editor, create: bool, tokens: &[Value]| {
        let tokens = read(editor, tokens);
        let edits = editor.snapshot().edits();
        let error = if create { editor.create(&tokens) } else { editor.change(&tokens) }.unwrap_err();
        assert_eq!((editor.snapshot().edits(), editor.snapshot().token_count()), (edits, 2), "{error}");
        error.to_string()
    };
    assert_eq!(refused(&mut editor, true, &[token("a", "a.b")]), "the id `a` is taken by another token");
    assert_eq!(refused(&mut editor, false, &[token("c", "a.b")]), "no token has the id `c`");
    assert_eq!(refused(&mut editor, true, &[with_secret("c", "b")]), "the secret of token `c` is that of token `b`");
    assert_eq!(
        refused(&mut editor, true, &[token("d", "a.b"), named("c", "second")]),
        "token `c` has the owner and the name of token `b`"
    );
    assert_eq!(
        refused(&mut editor, false, &[named("a", "second")]),
        "token `a` has the owner and the name of token `b`"
    );
    assert_eq!(editor.revoke("c").unwrap_err(), EditError::IdUnknown("c".into()));
    let elsewhere = policy(&json!({ "connections": [{ "name": "other" }], "tokens": [token("c", "a.b")] }));
    assert_eq!(editor.create(&elsewhere).unwrap_err(), EditError::OtherPolicy);

    // One edit may swap the names of two tokens. A new token may use the name and secret of a revoked one.
    let exchanged = read(&editor, &[named("a", "second"), named("b", "first")]);
    editor.change(&exchanged).unwrap();
    editor.revoke("b").unwrap();
    let mut heir = named("c", "first");
    heir["token"] = json!("secret-b");
    let heir = read(&editor, &[heir]);
    let snapshot = editor.create(&heir).unwrap();
    assert_eq!(snapshot.token_count(), 2);
    let decision = portcullis::decide(&snapshot, &request("secret-b", "a.b"), now()).reason();
    assert_eq!(decision, None);
}

#[test]
fn edit_can_add_a_connection_and_does_not_change_earlier_snapshots() {
    let mut editor = editor(&[token("a", "a.b")]);
    let before = editor.snapshot().clone();
    let mut new = token("b", "a.b");
    new["grants"] = json!([{ "connection_name": "new", "source": "*" }]);
    let new = read(&editor, &[new]);
    let after = editor.create(&new).unwrap();
    let request = Request::new("maps", "new").secret("secret-b").source(Source::Resource("x.y"));
    assert!(portcullis::decide(&after, &request, now()).is_allow());
    assert_eq!(portcullis::decide(&before, &request, now()).reason(), Some(Reason::TokenUnknown));
    let names = |snapshot: &portcullis::Snapshot| -> Vec<String> {
        snapshot.connections().map(|connection| connection.name().to_owned()).collect()
    };
    assert_eq!((names(&before), names(&after)), (vec!["dw".to_owned()], vec!["dw".to_owned(), "new".to_owned()]));
    // Revoking a token that was created by an edit removes the edit.
    assert_eq!(editor.revoke("b").unwrap().edits(), 0);
    assert_eq!(editor.revoke("a").unwrap().edits(), 1);
    assert_eq!(editor.snapshot().token_count(), 0);
}

#[test]
fn concurrent_readers_see_only_complete_edits() {
    // A change moves the grant, and a change of another token moves its number: a reader of parts of two edits finds
    // neither.
    let mut editor = editor(&[token("a", "db.t0"), token("b", "db.*")]);
    let authorizer = Authorizer::new(editor.snapshot().clone());
    let done = AtomicBool::new(false);
    let decided: u64 = std::thread::scope(|scope| {
        let reader = || {
            let mut decided = 0;
            while !done.load(Ordering::Relaxed) || decided == 0 {
                let current = authorizer.current();
                let granted = format!("db.t{}", current.number() - 1);
                assert!(current.decide(&request("secret-a", &granted), now()).is_allow());
                let other = format!("db.t{}", current.number());
                let reason = current.decide(&request("secret-a", &other), now()).reason();
                assert_eq!(reason, Some(Reason::SourceNotGranted));
                assert!(current.decide(&request("secret-b", &other), now()).is_allow());
                decided += 3;
            }
            decided
        };
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(reader)).collect();
        for number in 1..1_000 {
            let changed = read(&editor, &[token("a", &format!("db.t{number}"))]);
            authorizer.swap(editor.change(&changed).unwrap());
        }
        done.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert!(decided > 0);
}

#[test]
fn usage_counts_survive_edits() {
    let usage = Usage::default();
    let authorizer = Authorizer::counting(usage.clone());
    let mut editor = editor(&[token("a", "db.a"), token("b", "db.b")]);
    authorizer.swap(editor.snapshot().clone());
    let ask = |id: &str, table: &str| {
        let secret = format!("secret-{id}");
        authorizer.current().decide(&request(&secret, table), now()).is_allow()
    };
    assert!(ask("a", "db.a") && ask("b", "db.b"));
    let changed = read(&editor, &[token("a", "db.c")]);
    authorizer.swap(editor.change(&changed).unwrap());
    assert!(ask("a", "db.c") && !ask("a", "db.a") && ask("b", "db.b"));
    let created = read(&editor, &[token("c", "db.*")]);
    authorizer.swap(editor.create(&created).unwrap());
    assert!(ask("a", "db.c") && ask("b", "db.b") && ask("c", "db.x"));
    authorizer.swap(editor.revoke("b").unwrap());
    assert!(ask("a", "db.c") && !ask("b", "db.b") && ask("c", "db.x"));
    let counted = |id: &str| usage.token(id).map(|usage| (usage.allowed, usage.grants));
    // The count of a new grant starts at zero. The count of the token continues.
    assert_eq!(counted("a"), Some((4, vec![3])));
    assert_eq!(counted("b"), Some((3, vec![3])));
    assert_eq!(counted("c"), Some((2, vec![2])));
}

proptest! {
    #![proptest_config(config(200))]

    /// Several edits create, change and revoke tokens. After each edit, the snapshot decides like the reference and
    /// like a new compilation of the current tokens.
    #[test]
    fn edited_snapshot_decides_as_a_new_compilation(
        World { document, requests } in worlds(),
        steps in prop::collection::vec(any::<(u8, prop::sample::Index, prop::sample::Index)>(), 1..12),
        strategy in any::<prop::sample::Index>(),
        shuffled in bytes(12),
    ) {
        let strategies = strategies();
        let (_, options) = &strategies[strategy.index(strategies.len())];
        let pool = list(&document["tokens"]).to_vec();
        // Some tokens are in the policy at the start.
        let begins = |at: usize| shuffled.get(at).is_some_and(|byte| byte % 2 == 0);
        let mut now: Vec<Value> = pool.iter().enumerate().filter(|(at, _)| begins(*at)).map(|(_, token)| token.clone()).collect();
        let whole = |tokens: &[Value]| {
            let mut whole = document.clone();
            whole["tokens"] = json!(tokens);
            whole
        };
        let mut editor = Editor::new(&policy(&whole(&now)), options).unwrap();
        for (kind, at, other) in steps {
            let which = at.index(pool.len());
            let token = &pool[which];
            let there = now.iter().position(|known| known["id"] == token["id"]);
            match there {
                None => {
                    let added = read(&editor, std::slice::from_ref(token));
                    editor.create(&added).unwrap();
                    now.push(token.clone());
                }
                Some(index) if kind % 3 == 0 => {
                    editor.revoke(token["id"].as_str().unwrap()).unwrap();
                    now.remove(index);
                }
                Some(index) => {
                    // The token gets the grants and referers of another token.
                    let mut changed = pool[other.index(pool.len())].clone();
                    for field in ["id", "token", "token_sha256", "name", "owner"] {
                        changed[field] = token[field].clone();
                    }
                    changed.as_object_mut().unwrap().retain(|_, value| !value.is_null());
                    if kind % 3 == 1 {
                        changed["token"] = json!(format!("another-{which}"));
                        changed.as_object_mut().unwrap().remove("token_sha256");
                    }
                    let read = read(&editor, std::slice::from_ref(&changed));
                    editor.change(&read).unwrap();
                    now[index] = changed;
                }
            }
            let (edited, now_whole) = (editor.snapshot(), policy(&whole(&now)));
            let (compiled, reference) = (snapshot(&now_whole, options), Reference::new(&now_whole));
            prop_assert_eq!(edited.token_count(), now.len());
            for asked in requests.iter().chain(&with_changed_secrets(&requests)) {
                let expected = asked.with(|request, now| reference.decide(request, now));
                prop_assert_eq!(&by_engine(&compiled, asked), &expected);
                prop_assert_eq!(&by_engine(edited, asked), &expected, "{:?}\n{:#}", asked, whole(&now));
                prop_assert_eq!(&by_explanation(edited, asked), &expected, "explained: {:?}", asked);
            }
        }
    }
}

/// Returns the requests with the secrets of changed tokens.
fn with_changed_secrets(requests: &[OwnedRequest]) -> Vec<OwnedRequest> {
    let other = |which: usize, asked: &OwnedRequest| {
        let credential = Presented::Secret(format!("another-{which}"));
        OwnedRequest { credential, ..asked.clone() }
    };
    requests.iter().enumerate().map(|(at, asked)| other(at % 5, asked)).collect()
}

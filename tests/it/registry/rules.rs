//! Guarantees of the library beyond those of the command line.

use std::collections::BTreeSet;

use portcullis::base::Timestamp;
use portcullis::name::Dialect;
use portcullis_document::load::Input;
use portcullis_registry::record::{Token, Usage};
use portcullis_registry::{Actor, NewToken, Registry, RegistryError};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn actor(user: &str, now: &str) -> Actor {
    Actor::new(user, at(now)).unwrap()
}

fn new(source: &str) -> NewToken {
    NewToken {
        apis: vec!["maps".to_owned()],
        grants: vec![("dw".to_owned(), source.to_owned())],
        ..NewToken::default()
    }
}

fn registry() -> (Registry, Actor) {
    let ana = actor("ana", "2026-11-22T12:00:00.75Z");
    let mut registry = super::empty();
    registry.add_connection(&ana, "dw", "postgres", None, false).unwrap();
    (registry, ana)
}

#[track_caller]
fn refusal<T: std::fmt::Debug>(result: Result<T, RegistryError>) -> String {
    match result.unwrap_err() {
        RegistryError::Refused(advice) => advice.message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_used_within_seven_days_is_deleted_by_force_only() {
    let (mut registry, ana) = registry();
    let used = registry.create_token(&ana, &new("public.roads")).unwrap().token;
    let usage = |token: &str, allowed, last_used| Usage { token: token.to_owned(), allowed, last_used: at(last_used) };
    let batch = [
        usage(&used.id, 3, "2026-11-22T11:00:00Z"),
        usage("gone", 1, "2026-11-22T11:00:00Z"),
        usage(&used.id, 2, "2026-11-20T11:00:00Z"),
    ];
    let revision = registry.revision().unwrap();
    registry.record_usage(&batch).unwrap();
    assert_eq!(registry.revision().unwrap(), revision, "no decision depends on it");
    assert_eq!(registry.usage().unwrap()[&used.id], usage(&used.id, 5, "2026-11-22T11:00:00Z"));
    assert_eq!(registry.usage().unwrap().len(), 1);

    let message = refusal(registry.delete_token(&actor("ana", "2026-11-29T10:59:59Z"), &used.id, false));
    assert_eq!(message, format!("token `{}` was last used at 2026-11-22T11:00:00Z, within the last 7 days", used.id));
    registry.delete_token(&actor("ana", "2026-11-29T11:00:00Z"), &used.id, false).unwrap();
    let again = registry.create_token(&ana, &new("public.roads")).unwrap().token;
    registry.record_usage(&[usage(&again.id, 1, "2026-11-22T11:00:00Z")]).unwrap();
    registry.delete_token(&ana, &again.id, true).unwrap();
    // An impossible time of use does not keep a token indefinitely.
    let third = registry.create_token(&ana, &new("public.roads")).unwrap().token;
    registry.record_usage(&[usage(&third.id, 1, "9999-12-31T00:00:00Z")]).unwrap();
    registry.delete_token(&ana, &third.id, false).unwrap();
    assert!(registry.usage().unwrap().is_empty(), "the counts go with their token");
}

#[test]
fn old_secret_is_valid_for_the_overlap_but_not_beyond_its_expiry() {
    let (mut registry, ana) = registry();
    for (expiration, overlap, until) in [
        (None, Some("7d"), Some("2026-11-29T12:00:00Z")),
        (Some("2d"), Some("7d"), Some("2026-11-24T12:00:00Z")),
        (Some("2d"), None, None),
    ] {
        let created = registry
            .create_token(&ana, &NewToken { expiration: expiration.map(ToOwned::to_owned), ..new("public.*") })
            .unwrap();
        let rotated = registry.rotate_token(&ana, &created.token.id, overlap, None).unwrap();
        assert_eq!(rotated.token.id, created.token.id);
        assert_eq!(rotated.token.digest, rotated.secret.digest());
        assert_eq!(rotated.token.expiration_date, created.token.expiration_date);
        let old = rotated.old.map(|old| (old.digest, old.expiration_date));
        assert_eq!(old, until.map(|until| (created.secret.digest(), Some(at(until)))));
    }
}

#[test]
fn earlier_secrets_are_listed_while_they_are_valid() {
    let (mut registry, ana) = registry();
    let other = registry.create_token(&ana, &new("public.*")).unwrap().token;
    let token = registry.create_token(&ana, &new("public.*")).unwrap().token;
    let mut rotate =
        |id: &str, overlap: &str| registry.rotate_token(&ana, id, Some(overlap), None).unwrap().old.unwrap();
    let (_, short, long) = (rotate(&other.id, "30d"), rotate(&token.id, "1d"), rotate(&token.id, "7d"));
    registry.delete_token(&ana, &token.id, false).unwrap();
    let mut earlier = |actor: &Actor| registry.earlier_secrets(actor, &token.id).unwrap();
    let ids = |tokens: Vec<Token>| tokens.into_iter().map(|token| token.id).collect::<BTreeSet<_>>();
    assert_eq!(ids(earlier(&ana)), [short.id, long.id.clone()].into());
    assert_eq!(ids(earlier(&actor("ana", "2026-11-25T12:00:00Z"))), [long.id].into());
    assert_eq!(earlier(&actor("bob", "2026-11-22T12:00:00Z")), []);
    assert_eq!(earlier(&actor("ana", "2026-12-25T12:00:00Z")), []);
}

#[test]
fn expired_token_is_rotated_only_with_a_new_expiry() {
    let (mut registry, ana) = registry();
    let token =
        registry.create_token(&ana, &NewToken { expiration: Some("1d".to_owned()), ..new("a.b") }).unwrap().token;
    let later = actor("ana", "2026-11-23T12:00:00Z");
    let message = refusal(registry.rotate_token(&later, &token.id, Some("7d"), None));
    assert_eq!(message, format!("token `{}` has expired: so would its new secret", token.id));
    let rotated = registry.rotate_token(&later, &token.id, Some("7d"), Some("never")).unwrap();
    assert!(rotated.old.is_none() && rotated.token.expiration_date.is_none());
}

#[test]
fn dialect_that_breaks_grants_is_refused_with_their_tokens() {
    let (mut registry, ana) = registry();
    let token = registry.create_token(&ana, &new("public.\"Roads*\"")).unwrap().token;
    let result = registry.update_connection(&ana, "dw", Some("databricks"), None, None);
    let RegistryError::Refused(advice) = result.unwrap_err() else { panic!() };
    assert_eq!(
        advice.message,
        "grants on `dw` do not fit dialect `databricks`: `public.\"Roads*\"` is not a resource: `\"` is not \
         allowed in a bare identifier of dialect `databricks`"
    );
    assert_eq!(advice.help, format!("change these tokens first: `{0}` ({0})", token.id));
    assert_eq!(registry.connection("dw").unwrap().dialect.as_str(), "postgres");
    registry.update_connection(&ana, "dw", Some("snowflake"), None, Some(true)).unwrap();
}

#[test]
fn another_dialect_reports_the_grants_that_cover_other_names() {
    let (mut registry, ana) = registry();
    for source in ["public.Roads", "public.\"Roads\"", "public.r*", "\"9a\".b", "select 1"] {
        registry.create_token(&ana, &NewToken { name: Some(source.to_owned()), ..new(source) }).unwrap();
    }
    let mut reread = |dialect, case_sensitive| {
        let updated = registry.update_connection(&ana, "dw", dialect, case_sensitive, None).unwrap();
        (updated.connection.dialect, updated.grants.total, updated.grants.changed)
    };
    // The first two name one table in Redshift; `"9a".b` needs folding only in Snowflake.
    for (dialect, case_sensitive, expected) in [
        (Some("redshift"), None, (Dialect::Redshift, 4, 1)),
        (None, Some(true), (Dialect::RedshiftCaseSensitive, 4, 1)),
        (None, Some(true), (Dialect::RedshiftCaseSensitive, 0, 0)),
        (Some("snowflake"), None, (Dialect::Snowflake, 4, 4)),
        (Some("postgres"), None, (Dialect::Postgres, 4, 4)),
    ] {
        assert_eq!(reread(dialect, case_sensitive), expected, "{dialect:?} {case_sensitive:?}");
    }
    for result in [
        registry.update_connection(&ana, "dw", None, Some(true), None).map(drop),
        registry.update_connection(&ana, "dw", Some("generic"), Some(false), None).map(drop),
        registry.add_connection(&ana, "other", "snowflake", Some(true), false).map(drop),
    ] {
        let message = result.unwrap_err().to_string();
        assert!(message.contains("cannot be case-sensitive"), "{message}");
    }
}

#[test]
fn case_sensitivity_survives_export_and_import() {
    let (mut registry, ana) = registry();
    registry.add_connection(&ana, "rs", "redshift", Some(true), false).unwrap();
    let document = registry.export(&ana).unwrap();
    let mut other = super::empty();
    other.import(&ana, &Input::new("exported", document.clone())).unwrap();
    assert_eq!(other.connection("rs").unwrap().dialect, Dialect::RedshiftCaseSensitive);
    assert_eq!(other.export(&ana).unwrap(), document);
}

#[test]
fn expired_tokens_are_pruned_when_they_are_old_enough() {
    let (mut registry, ana) = registry();
    for expiration in ["1d", "1m", "1y"] {
        let new = NewToken { name: Some(expiration.to_owned()), expiration: Some(expiration.to_owned()), ..new("a.b") };
        registry.create_token(&ana, &new).unwrap();
    }
    let names = |tokens: Vec<Token>| tokens.into_iter().map(|token| token.name).collect::<Vec<_>>();
    let later = actor("ana", "2026-12-22T12:00:00Z");
    assert_eq!(names(registry.prune_tokens(&later, Some("30d")).unwrap()), Vec::<String>::new());
    assert_eq!(names(registry.prune_tokens(&later, Some("4w")).unwrap()), ["1d"]);
    assert_eq!(names(registry.prune_tokens(&actor("bo", "2026-12-22T12:00:00Z"), None).unwrap()), Vec::<String>::new());
    assert_eq!(names(registry.prune_tokens(&later, None).unwrap()), ["1m"]);
    let revision = registry.revision().unwrap();
    assert_eq!(names(registry.prune_tokens(&later, None).unwrap()), Vec::<String>::new());
    assert_eq!(registry.revision().unwrap(), revision, "an edit that changes nothing adds no revision");
}

#[test]
fn import_is_atomic_and_detects_existing_records() {
    let (mut registry, ana) = registry();
    let token = |id: &str, name: &str, secret: &str, grant: &str| {
        format!(
            r#"{{"id": "{id}", "name": "{name}", "token": "{secret}", "allowed_apis": ["maps"],
                "grants": [{{"connection_name": "dw", "source": "{grant}"}}]}}"#
        )
    };
    let document = |tokens: &[String]| Input::new("a.json", format!("[{}]", tokens.join(",")));
    let one = document(&[token("a", "n", "s1", "x.y")]);
    let imported = registry.import(&ana, &one).unwrap();
    assert_eq!((imported.tokens.len(), imported.connections.len(), imported.unchanged), (1, 0, 0));
    assert_eq!(imported.tokens[0].owner, "ana");
    let revision = registry.revision().unwrap();
    assert_eq!(registry.import(&ana, &one).unwrap().unchanged, 1);
    assert_eq!(registry.revision().unwrap(), revision);

    let message = refusal(registry.import(
        &ana,
        &document(&[
            token("a", "other", "s2", "x.y"),
            token("b", "m", "s1", "x.y"),
            token("c", "n", "s3", "x.y"),
            token("d", "d", "s4", "x.y"),
        ]),
    ));
    assert_eq!(
        message,
        "token `a` differs; the secret of token `b` is that of `a`; name `n` of token `c` is that of `a`"
    );
    assert_eq!((registry.tokens(&ana).unwrap().len(), registry.revision().unwrap()), (1, revision));

    // Tokens that become equal only for the user who imports them.
    let twice = r#"[{"id": "p", "name": "same", "token": "s5", "allowed_apis": ["lds"]},
        {"id": "q", "name": "same", "owner": "ana", "token": "s6", "allowed_apis": ["lds"]}]"#;
    let message = refusal(registry.import(&ana, &Input::new("e.json", twice)));
    assert_eq!(message, "name `same` of token `q` is that of `p`");
    assert_eq!(registry.tokens(&ana).unwrap().len(), 1);

    let declared = Input::new("b.json", r#"{"connections": [{"name": "dw"}, {"name": "new"}], "tokens": []}"#);
    assert_eq!(refusal(registry.import(&ana, &declared)), "connection `dw` is declared otherwise");
    let others = r#"[{"id": "x", "owner": "bo", "token": "s9", "allowed_apis": ["lds"]}]"#;
    let message = refusal(registry.import(&ana, &Input::new("c.json", others)));
    assert_eq!(message, "token `x` is of `bo`: `--all-users` imports tokens of other users");
    registry.import(&ana.clone().for_all_users(), &Input::new("c.json", others)).unwrap();
    // Names that only a grant mentions, and APIs that only a document declares, are preserved.
    let whole = r#"{"apis": [{"name": "tiles", "accepts": ["pattern", "resource"]}], "tokens": [
        {"id": "t", "token": "s10", "allowed_apis": ["tiles"], "grants": [
            {"connection_name": "other", "type": "all"}, {"connection_name": "other", "type": "tileset", "source": "a.b"},
            {"connection_name": "other", "type": "named_source", "source": "nowhere"}]}]}"#;
    let imported = registry.import(&ana, &Input::new("d.json", whole)).unwrap();
    assert_eq!((imported.apis.len(), imported.connections.len()), (1, 1));

    let all = ana.for_all_users();
    let exported = registry.export(&all).unwrap();
    let mut copy = super::empty();
    copy.import(&all, &Input::new("export", exported.clone())).unwrap();
    assert_eq!(copy.export(&all).unwrap(), exported);
    assert_eq!(copy.revision().unwrap(), 1);
}

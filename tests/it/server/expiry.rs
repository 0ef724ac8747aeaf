//! Servers remove tokens from a registry some time after they have expired.

use std::time::Duration;

use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis_document::load::Input;
use portcullis_registry::{Actor, Location, NewToken, Registry};
use portcullis_server::expiry::ExpiryRemover;

use super::util::eventually;
use crate::postgres::{Cluster, Database, USER};

const DAY: i64 = 86_400;
const AGE: Duration = Duration::from_hours(30 * 24);
const EVERY: Duration = Duration::from_millis(20);

/// An actor forty days ago.
fn ana() -> Actor {
    Actor::new("ana", Timestamp::from_unix(SystemClock.now().seconds() - 40 * DAY, 0)).unwrap()
}

/// Calls `check` with an empty registry of each kind.
fn on_each(check: impl Fn(&Location)) {
    let folder = tempfile::tempdir().unwrap();
    check(&Location::file(folder.path().join("registry.db")));
    if let Some(cluster) = Cluster::shared() {
        check(&cluster.database().location());
    }
}

fn names(registry: &mut Registry) -> Vec<String> {
    let mut names: Vec<_> = registry.tokens(&ana()).unwrap().into_iter().map(|token| token.name).collect();
    names.sort();
    names
}

#[test]
fn tokens_are_removed_once_when_they_have_expired_for_long_enough() {
    on_each(|location| {
        let mut registry = Registry::open(location, true).unwrap();
        for expiration in ["1d", "9d", "11d", "39d", "50d", "never"] {
            let expiration = Some(expiration.to_owned());
            let apis = vec!["lds".to_owned()];
            let new = NewToken { name: expiration.clone(), apis, expiration, ..NewToken::default() };
            registry.create_token(&ana(), &new).unwrap();
        }
        // Several servers, and more tokens than one transaction removes.
        let old = SystemClock.now().seconds() - 31 * DAY;
        let many: Vec<_> = (0..600)
            .map(|at| {
                let end = Timestamp::from_unix(old, 0);
                format!(r#"{{"id": "t{at}", "token": "s{at}", "allowed_apis": ["lds"], "expiration_date": "{end}"}}"#)
            })
            .collect();
        registry.import(&ana(), &Input::new("many", format!("[{}]", many.join(",")))).unwrap();
        let removers: Vec<_> = (0..3).map(|_| ExpiryRemover::start(location.clone(), AGE, EVERY).unwrap()).collect();
        eventually("the old tokens are gone", || registry.tokens(&ana()).unwrap().len() == 4);
        // Later rounds find nothing else.
        std::thread::sleep(10 * EVERY);
        drop(removers);
        assert_eq!(names(&mut registry), ["11d", "39d", "50d", "never"]);
        let trail = registry.trail(&ana().for_all_users()).unwrap();
        let pruned: Vec<_> = trail.iter().filter(|entry| entry.action == "prune").collect();
        assert_eq!(pruned.len(), 602);
        assert!(pruned.iter().all(|entry| entry.user == "portcullis" && entry.how.as_deref() == Some("serve")));
        assert!(pruned.iter().all(|entry| entry.owner.as_deref() == Some("ana") && entry.before.is_some()));
    });
}

#[test]
fn server_that_may_not_change_the_registry_removes_nothing() {
    let Some(cluster) = Cluster::shared() else { return };
    let database: Database = cluster.database();
    let mut registry = Registry::open(&database.location(), true).unwrap();
    let new = NewToken { apis: vec!["lds".into()], expiration: Some("1d".into()), ..NewToken::default() };
    registry.create_token(&ana(), &new).unwrap();
    let role = format!("reader_{}", database.name);
    let mut raw = database.raw();
    raw.run(&format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA portcullis TO {role};
         GRANT SELECT ON ALL TABLES IN SCHEMA portcullis TO {role}"
    ))
    .unwrap();
    let location: Location = database.url().replace(&format!("//{USER}@"), &format!("//{role}@")).parse().unwrap();
    let remover = ExpiryRemover::start(location, AGE, EVERY).unwrap();
    let rounds = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'");
    eventually("the reader connects", || raw.text(&rounds).unwrap() != "0");
    std::thread::sleep(10 * EVERY);
    drop(remover);
    assert_eq!((registry.tokens(&ana()).unwrap().len(), registry.revision().unwrap()), (1, 1));
}

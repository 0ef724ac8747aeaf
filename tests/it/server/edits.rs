//! Edits of a registry are applied without reading all of it, and decide as the whole registry does.

use std::time::Duration;

use portcullis::decision::{Request, Source as RequestSource};
use portcullis::{Authorizer, Options, Snapshot};
use portcullis_registry::{Actor, Location, NewToken, Registry, TokenEdit};
use portcullis_server::policy::{Contents, LiveOptions, Source, StateDir, Timing};

use super::util::{eventually, now, serve};

/// A registry, its user, and every secret that was created.
struct World {
    registry: Registry,
    ana: Actor,
    secrets: Vec<String>,
}

impl World {
    fn create(&mut self, name: &str, table: &str) {
        let new = NewToken {
            name: Some(name.into()),
            grants: vec![("dw".into(), format!("db.{table}"))],
            apis: vec!["maps".into()],
            ..NewToken::default()
        };
        self.secrets.push(self.registry.create_token(&self.ana, &new).unwrap().secret.expose().to_owned());
    }

    fn rotate(&mut self, name: &str, overlap: Option<&str>) {
        let rotated = self.registry.rotate_token(&self.ana, name, overlap, None).unwrap();
        self.secrets.push(rotated.secret.expose().to_owned());
    }

    fn grant(&mut self, name: &str, connection: &str, table: &str) {
        let edit = TokenEdit { add_grants: vec![(connection.into(), format!("db.{table}"))], ..TokenEdit::default() };
        self.registry.update_token(&self.ana, name, &edit).unwrap();
    }

    /// Returns every decision of every secret.
    fn decisions(&self, authorizer: &Authorizer) -> Vec<(usize, &'static str, Option<String>)> {
        let current = authorizer.current();
        let mut decisions = Vec::new();
        for (at, secret) in self.secrets.iter().enumerate() {
            for table in ["db.one", "db.two", "db.three"] {
                for connection in ["dw", "lake"] {
                    let request =
                        Request::new("maps", connection).secret(secret).source(RequestSource::Resource(table));
                    let (id, decision) = current.decide_identified(&request, now());
                    decisions.push((at, table, id.filter(|_| decision.is_allow()).map(str::to_owned)));
                }
            }
        }
        decisions
    }
}

#[test]
fn every_edit_decides_as_a_full_compilation() {
    type Change = fn(&mut World);
    let changes: [(&str, Change); 11] = [
        ("a first token", |world| world.create("a", "one")),
        ("a second", |world| world.create("b", "two")),
        ("a grant", |world| world.grant("a", "dw", "two")),
        ("a new secret", |world| world.rotate("a", None)),
        ("a new secret, the old one for a while", |world| world.rotate("b", Some("7d"))),
        ("several at once", |world| {
            world.create("c", "three");
            world.grant("c", "dw", "one");
            world.create("d", "three");
            world.registry.delete_token(&world.ana, "d", true).unwrap();
            world.rotate("c", Some("1d"));
        }),
        ("a deletion", |world| drop(world.registry.delete_token(&world.ana, "a", true).unwrap())),
        ("its name, again", |world| world.create("a", "three")),
        ("a connection", |world| {
            drop(world.registry.add_connection(&world.ana, "lake", "snowflake", None, false).unwrap());
        }),
        ("a grant on it", |world| world.grant("a", "lake", "\"two\"")),
        ("many at once", |world| (0..1_100).for_each(|at| world.create(&format!("m{at}"), "one"))),
    ];
    // With frequent full reads of the registry, and with none.
    for fold in [Duration::from_millis(30), Duration::from_hours(1)] {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::file(folder.path().join("registry.db"));
        let ana = Actor::new("ana", now()).unwrap();
        let mut registry = Registry::open(&location, true).unwrap();
        registry.add_connection(&ana, "dw", "postgres", None, false).unwrap();
        let mut world = World { registry, ana, secrets: Vec::new() };
        let timing = Timing { fold, ..Timing::default() };
        let state_dir = folder.path().join("state");
        let options = LiveOptions { state_dir: Some(state_dir.clone()), timing, ..LiveOptions::default() };
        let source = Source::registry(location);
        let (live, authorizer) = serve(&source, options);
        for (what, change) in changes {
            change(&mut world);
            let document = world.registry.policy_document().unwrap();
            let policy = portcullis_document::read_policy(document).unwrap();
            let whole = Authorizer::new(Snapshot::compile(&policy, &Options::default()).unwrap());
            let expected = world.decisions(&whole);
            eventually(what, || world.decisions(&authorizer) == expected);
            eventually(what, || live.status().report().snapshot.tokens == policy.tokens().len());
            assert_eq!(live.status().report().failure, None, "{what}");
            // Only tokens have changed since the start: the whole registry was not read again.
            let is_edited = authorizer.current().snapshot().unwrap().edits() > 0;
            assert!(is_edited || fold < Duration::from_secs(1) || authorizer.current().number() > 8, "{what}");
        }
        if fold < Duration::from_secs(1) {
            // The edited policy is saved, too, after it was stable for a while.
            eventually("all of it is read again", || authorizer.current().snapshot().unwrap().edits() == 0);
        }
        drop(live);
        let state = StateDir::open(state_dir).unwrap();
        let (saved, _) = state.saved(&source.to_string()).unwrap().unwrap();
        // Edits that were not compiled as a whole are saved in compiled form at shutdown.
        let snapshot = match saved {
            Contents::Documents(inputs) => {
                let policy = portcullis_document::read_policy(inputs[0].text()).unwrap();
                Snapshot::compile(&policy, &Options::default()).unwrap()
            }
            Contents::Compiled(bytes) => Snapshot::from_bytes(&bytes).unwrap(),
        };
        assert_eq!(world.decisions(&Authorizer::new(snapshot)), world.decisions(&authorizer));
    }
}

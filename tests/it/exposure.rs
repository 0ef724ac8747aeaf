//! What is exposed is what decisions allow.

use portcullis::audit::exposure::{Batch, Exposure, Surface, Tally};
use portcullis::base::Timestamp;
use portcullis::decision::{Request, Source, decide};
use portcullis::model::{Operation, Policy};
use portcullis::name::Name;
use portcullis::snapshot::{Options, Snapshot};
use proptest::prelude::*;

use crate::engine::{policy, snapshot};
use crate::generate::{World, secret_of, worlds};
use crate::request::AskedSource;

const NOW: &str = "2026-11-22T12:00:00Z";

/// A policy whose tokens any page may use, and names near what it grants, each twice on each connection.
fn exposed(world: &World) -> (Policy, Vec<String>) {
    let mut document = world.document.clone();
    for token in document["tokens"].as_array_mut().unwrap() {
        token.as_object_mut().unwrap().remove("referers");
    }
    let sources = world.requests.iter().flat_map(|asked| &asked.sources);
    let names = sources.filter_map(|source| match source {
        AskedSource::Resource(name) => Some(name.clone()),
        _ => None,
    });
    (policy(&document), names.flat_map(|name| [name.clone(), name]).collect())
}

/// Whether some request of the token for the name is allowed.
fn is_allowed(
    snapshot: &Snapshot,
    policy: &Policy,
    token: usize,
    connection: &str,
    name: &str,
    now: Timestamp,
) -> bool {
    let apis = policy.tokens()[token].apis();
    apis.iter().filter_map(|api| policy.apis().get(api)).filter(|api| api.needs_source()).any(|api| {
        [Operation::Query, Operation::Model].into_iter().any(|operation| {
            let secret = secret_of(token);
            let request = Request::new(api.name(), connection)
                .secret(&secret)
                .operation(operation)
                .source(Source::Resource(name));
            decide(snapshot, &request, now).is_allow()
        })
    })
}

proptest! {
    #[test]
    fn exposure_is_what_decisions_allow(world in worlds()) {
        let (policy, names) = exposed(&world);
        let snapshot = snapshot(&policy, &Options::default());
        let (now, before) = (NOW.parse().unwrap(), "1990-01-01".parse().unwrap());
        let surface = Surface::new(&policy, now);
        // As two threads would count.
        let (mut tally, mut other) = (Tally::default(), Tally::default());
        for connection in policy.connections() {
            let id = surface.connection(connection.name()).unwrap();
            for (at, half) in names.chunks(names.len() / 2 + 1).enumerate() {
                let mut batch = Batch::default();
                (1..).zip(half).for_each(|(line, name)| batch.push(line, |text| text.push_str(name)));
                if at == 0 { &mut tally } else { &mut other }.see(&surface, id, &batch);
            }
        }
        tally.add(other);
        let exposure = Exposure::new(&surface, tally);
        let well_formed = |connection: &portcullis::model::Connection| {
            names.iter().filter(|name| Name::parse(name, connection.dialect()).is_ok()).collect::<Vec<_>>()
        };
        for (at, token) in policy.tokens().iter().enumerate() {
            let all: usize = policy.connections().iter().map(|connection| {
                let allowed = |name: &&&String| is_allowed(&snapshot, &policy, at, connection.name(), name, before);
                well_formed(connection).iter().filter(allowed).count()
            }).sum();
            prop_assert_eq!(exposure.tokens[at].names, all as u64, "{}", token.id());
            prop_assert_eq!(exposure.tokens[at].expired, token.expiry().is_expired(now));
        }
        for (connection, found) in policy.connections().iter().zip(&exposure.connections) {
            let names = well_formed(connection);
            let anybody = |name: &&&String| {
                (0..policy.tokens().len()).any(|at| is_allowed(&snapshot, &policy, at, connection.name(), name, now))
            };
            prop_assert_eq!(found.names, names.len() as u64);
            prop_assert_eq!(found.exposed, names.iter().filter(anybody).count() as u64, "{}", connection.name());
            for example in &found.unexposed_examples {
                prop_assert!(!anybody(&&example), "{}", example);
            }
        }
        let broken = names.len() * policy.connections().len() - usize::try_from(exposure.names).unwrap();
        prop_assert_eq!(exposure.broken, broken as u64);
    }
}

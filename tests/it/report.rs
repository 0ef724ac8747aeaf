//! What the report counts, by brute force: each name is asked for by each token, under each API.

use portcullis::audit::report::{Report, Tally};
use portcullis::base::Timestamp;
use portcullis::decision::{Replay, Request, Source};
use portcullis::model::Operation;
use portcullis::snapshot::Options;
use proptest::prelude::*;
use serde_json::Value;

use crate::engine::{policy, snapshot};
use crate::generate::{World, worlds};
use crate::request::AskedSource;

/// Whether the token may read the name under some API, from a site that it accepts.
fn may_read(replay: &Replay<'_>, token: &Value, connection: &str, name: &str, now: Timestamp) -> bool {
    let apis = token["allowed_apis"].as_array().unwrap().iter().map(|api| api.as_str().unwrap());
    let operations = [Operation::Query, Operation::Model];
    apis.filter(|api| *api != "lds").any(|api| {
        operations.iter().any(|&operation| {
            let request = Request::new(api, connection).operation(operation).source(Source::Resource(name));
            replay.decide(token["id"].as_str().unwrap(), &request, now).is_allow()
        })
    })
}

proptest! {
    #[test]
    fn exposure_is_what_decisions_allow(World { mut document, requests } in worlds()) {
        for token in document["tokens"].as_array_mut().unwrap() {
            token.as_object_mut().unwrap().remove("referers");
        }
        let policy = policy(&document);
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let mut tally = Tally::new(&policy, now);
        let mut names: Vec<(&str, &str)> = Vec::new();
        for asked in &requests {
            for source in &asked.sources {
                if let AskedSource::Resource(name) = source && tally.see(&asked.connection, name) {
                    names.push((&asked.connection, name));
                }
            }
        }
        let snapshot = snapshot(&policy, &Options::default());
        let replay = Replay::new(&snapshot);
        let tokens = document["tokens"].as_array().unwrap();
        let by_token = tally.by_token();
        for (at, token) in tokens.iter().enumerate() {
            let count = names.iter().filter(|(connection, name)| may_read(&replay, token, connection, name, now)).count() as u64;
            prop_assert_eq!(by_token.get(&at).copied().unwrap_or(0), count, "{} of {:#}", at, document);
        }
        let any = |(connection, name): &&(&str, &str)| tokens.iter().any(|token| may_read(&replay, token, connection, name, now));
        let exposure = Report::new("", &policy, now).with_catalog("", &tally).exposure.unwrap();
        prop_assert_eq!((exposure.names, exposure.exposed), (names.len() as u64, names.iter().filter(any).count() as u64));
    }
}

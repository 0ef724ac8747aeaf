//! Compares random commands of the binary with the model.

use portcullis::Timestamp;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis_registry::{Location, Registry};
use proptest::prelude::*;
use serde_json::Value;

use super::Dir;
use crate::registry::machine::{
    CONNECTIONS, CommandResult, ListedToken, NAMES, Op, SOURCES, Subject, USERS, compare, op,
};

struct Binary {
    dir: Dir,
    url: String,
}

impl Binary {
    fn run(&self, args: &[&str]) -> CommandResult {
        let mut command = self.dir.command("").arg(args[0]);
        for arg in &args[1..] {
            command = command.arg(arg);
        }
        let ran = command.arg("--db").arg(&self.url).arg("--format").arg("json").run();
        match ran.code {
            0 => {
                let value: Value = serde_json::from_str(&ran.stdout).unwrap();
                Ok(value.get("token").and_then(Value::as_str).map(ToOwned::to_owned))
            }
            1 => Err(()),
            // Removing the last grant violates a rule of policies, not of the registry.
            2 if ran.stderr.contains("the token has no grants") => Err(()),
            code => panic!("{args:?}: {code}\n{}", ran.stderr),
        }
    }
}

impl Subject for Binary {
    fn run(&mut self, op: &Op) -> CommandResult {
        let grant = |grant: (usize, usize)| format!("{},{}", CONNECTIONS[grant.0], SOURCES[grant.1]);
        let span = |days: Option<u8>| days.map(|days| format!("{days}d"));
        let mut args: Vec<String> = Vec::new();
        let mut put = |text: &[&str]| args.extend(text.iter().map(|text| (*text).to_owned()));
        let (user, all) = match *op {
            Op::AddConnection(at) => {
                put(&["connections", "add", CONNECTIONS[at]]);
                (0, false)
            }
            Op::DeleteConnection(at) => {
                put(&["connections", "delete", CONNECTIONS[at]]);
                (0, false)
            }
            Op::Create { user, name, grant, days } => {
                put(&["credentials", "create", "token", "--name", NAMES[name], "--apis", "maps"]);
                put(&["--connection", CONNECTIONS[grant.0], "--source", SOURCES[grant.1]]);
                if let Some(span) = span(days) {
                    put(&["--expiration-date", &span]);
                }
                (user, false)
            }
            Op::Rename { user, all, name, to } => {
                put(&["credentials", "update", "token", NAMES[name], "--name", NAMES[to]]);
                (user, all)
            }
            Op::AddGrant { user, all, name, grant: added } => {
                put(&["credentials", "update", "token", NAMES[name], "--add-grant", &grant(added)]);
                (user, all)
            }
            Op::RemoveGrant { user, all, name, grant: removed } => {
                put(&["credentials", "update", "token", NAMES[name], "--remove-grant", &grant(removed)]);
                (user, all)
            }
            Op::Rotate { user, all, name, overlap } => {
                put(&["credentials", "rotate", "token", NAMES[name]]);
                if let Some(span) = span(overlap) {
                    put(&["--overlap", &span]);
                }
                (user, all)
            }
            Op::Delete { user, all, name, force } => {
                put(&["credentials", "revoke", "token", NAMES[name]]);
                if force {
                    put(&["--force"]);
                }
                (user, all)
            }
            Op::Prune { user, all } => {
                put(&["credentials", "prune"]);
                (user, all)
            }
            Op::Use { .. } | Op::Wait(_) => unreachable!("time does not move here"),
        };
        put(&["--user", USERS[user]]);
        if all {
            put(&["--all-users"]);
        }
        Self::run(self, &args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn shown(&mut self, user: &str) -> Vec<ListedToken> {
        let list =
            self.dir.command("credentials list tokens --format json --user").arg(user).arg("--db").arg(&self.url);
        // An empty list comes with a note about other users.
        let list: Vec<Value> = serde_json::from_str(&list.run().stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let shown = |token: Value| {
            let name = if token["name"] == token["id"] { "old".to_owned() } else { text(&token["name"]) };
            let grants = token["grants"].as_array().unwrap().iter();
            let grants = grants.map(|grant| (text(&grant["connection_name"]), text(&grant["source"]))).collect();
            // Rounded to days, so that the time since the creation does not matter.
            let at = |field: &str| token[field].as_str().map(|at| at.parse::<Timestamp>().unwrap().seconds() + 43_200);
            let now = self.now().seconds();
            (text(&token["owner"]), name, grants, at("expiration_date").map(|end| (end - now) / 86_400))
        };
        let mut list: Vec<_> = list.into_iter().map(shown).collect();
        list.sort();
        list
    }

    fn document(&mut self) -> String {
        self.dir.command("export --all-users --user admin --db").arg(&self.url).stdout(0)
    }

    fn now(&self) -> Timestamp {
        SystemClock.now()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn commands_and_model_agree(ops in prop::collection::vec(op(false), 10..20)) {
        for (url, location) in Dir::new().each_registry() {
            // The file is created where the command looks for it.
            let dir = Dir::new();
            let location = location.path().map_or(location.clone(), |_| Location::file(dir.path("registry.db")));
            drop(Registry::open(&location, true).unwrap());
            compare(&mut Binary { dir, url }, &ops)?;
        }
    }
}

//! `regorus`: one policy, compiled for its virtual machine. Hand-written code looks up the token. The input contains the
//! token's rules for the connection, which were converted to Rego values in advance, so a request costs one small
//! object. The cache of compiled globs is large enough for all patterns of the workload.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine as Rego, Value};

use crate::door::Door;
use crate::engine::Engine;
use crate::policy::{Document, Token};
use crate::requests::ParsedRequest;

const POLICY: &str = r#"package gate
import rego.v1
default allow := false
allow if input.rules.all
allow if input.rules.exact[input.name]
allow if {
    some pattern in input.rules.patterns
    glob.match(pattern, ["."], input.name)
}
"#;

pub struct Regorus {
    door: Door<Vec<(Box<str>, Value)>>,
    machine: RegoVM,
    name: Value,
    rules: Value,
}

fn rules(sources: &[&str]) -> Value {
    let text = |source: &&str| Value::from(*source);
    let exact: BTreeSet<Value> = sources.iter().filter(|source| !source.contains('*')).map(text).collect();
    let patterns: Vec<Value> =
        sources.iter().filter(|source| source.len() > 1 && source.contains('*')).map(text).collect();
    let mut object = BTreeMap::new();
    object.insert(Value::from("all"), Value::from(sources.contains(&"*")));
    object.insert(Value::from("exact"), Value::from(exact));
    object.insert(Value::from("patterns"), Value::from(patterns));
    Value::from(object)
}

fn connections(token: &Token<'_>) -> Vec<(Box<str>, Value)> {
    token.by_connection().into_iter().map(|(connection, sources)| (connection.into(), rules(&sources))).collect()
}

impl Regorus {
    pub fn new(document: &Document<'_>, now: i64) -> Self {
        regorus::cache::configure(regorus::cache::Config { glob: 1 << 16, ..Default::default() });
        let mut rego = Rego::new();
        rego.add_policy("gate.rego".into(), POLICY.into()).expect("a policy");
        let compiled = rego.compile_with_entrypoint(&"data.gate.allow".into()).expect("it compiles");
        let program = Compiler::compile_from_policy(&compiled, &["data.gate.allow"]).expect("it compiles");
        let mut machine = RegoVM::new_with_policy(compiled);
        machine.load_program(Arc::clone(&program));
        machine.set_max_instructions(usize::MAX);
        let door = Door::new(document, now, |_, token| connections(token));
        Self { door, machine, name: Value::from("name"), rules: Value::from("rules") }
    }
}

impl Engine for Regorus {
    fn decide(&mut self, asked: &ParsedRequest<'_>) -> bool {
        let rules = self.door.enter(asked).and_then(|rules| rules.iter().find(|(name, _)| **name == *asked.connection));
        let Some((_, rules)) = rules else { return false };
        let input =
            BTreeMap::from([(self.name.clone(), Value::from(asked.resource)), (self.rules.clone(), rules.clone())]);
        self.machine.set_input(Value::from(input));
        self.machine.execute().expect("the policy runs") == Value::from(true)
    }
}

//! `casbin`: one enforcer with a policy section for each token. The `EnforceContext` names the section of a request.
//!
//! So a request scans only the rules of its token, all tokens share one script engine, and the matcher is compiled
//! once. An enforcer for each token would decide as fast, but would need a script engine for each. A common section
//! would scan the rules of all tokens. A registered function, which the plain loop uses too, matches patterns.

use casbin::rhai::Dynamic;
use casbin::{
    Assertion, CoreApi, DefaultModel, EnforceContext, Enforcer, MemoryAdapter, Model, function_map::OperatorFunction,
};

use crate::door::Door;
use crate::engine::Engine;
use crate::plain::covers;
use crate::policy::{Document, Token};
use crate::requests::ParsedRequest;

pub struct Casbin {
    // The names of the tokens' sections.
    door: Door<String>,
    enforcer: Enforcer,
}

const MATCHER: &str = "r.connection == p.connection && (r.name == p.source || covers(p.source, r.name))";

fn both(pattern: Dynamic, name: Dynamic) -> Dynamic {
    match (pattern.read_lock::<casbin::rhai::ImmutableString>(), name.read_lock::<casbin::rhai::ImmutableString>()) {
        (Some(pattern), Some(name)) => (**pattern == *"*" || covers(&pattern, &name)).into(),
        _ => false.into(),
    }
}

fn section(token: &Token<'_>) -> Assertion {
    let mut section = Assertion { tokens: vec!["p_connection".into(), "p_source".into()], ..Assertion::default() };
    for grant in &token.grants {
        section.policy.insert(vec![grant.connection.to_owned(), grant.source.to_owned()]);
    }
    section
}

impl Casbin {
    pub fn new(document: &Document<'_>, now: i64) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut enforcer = runtime.block_on(async {
            let mut model = DefaultModel::default();
            model.add_def("r", "r", "connection, name");
            model.add_def("p", "p", "connection, source");
            model.add_def("e", "e", "some(where (p.eft == allow))");
            model.add_def("m", "m", MATCHER);
            let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await.expect("an enforcer");
            enforcer.add_function("covers", OperatorFunction::Arg2(both));
            enforcer
        });
        let sections = enforcer.get_mut_model().get_mut_model().get_mut("p").expect("the section of policies");
        let door = Door::new(document, now, |at, token| {
            let name = format!("p{at}");
            sections.insert(name.clone(), section(token));
            name
        });
        Self { door, enforcer }
    }
}

impl Engine for Casbin {
    fn decide(&mut self, asked: &ParsedRequest<'_>) -> bool {
        let Some(section) = self.door.enter(asked) else { return false };
        let context = EnforceContext {
            r_type: "r".to_owned(),
            p_type: section.clone(),
            e_type: "e".to_owned(),
            m_type: "m".to_owned(),
        };
        let request = vec![asked.connection.to_owned(), asked.resource.to_owned()];
        self.enforcer.enforce_with_context(context, request).expect("the matcher runs")
    }
}

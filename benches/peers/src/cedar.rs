//! `cedar-policy`, as an expert would use it: each token has a small policy set, with one policy for each connection. A
//! request looks up the token and evaluates only its set. Exact names are one set, and patterns use `like`.
//!
//! A star of `like` spans dots, so Cedar allows names with more segments than the pattern. These differences are
//! counted.

use std::collections::HashMap;
use std::fmt::Write;
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};

use crate::door::Door;
use crate::engine::Engine;
use crate::policy::{Document, Token};
use crate::requests::ParsedRequest;

pub struct Cedar {
    door: Door<PolicySet>,
    authorizer: Authorizer,
    entities: Entities,
    principal: EntityUid,
    action: EntityUid,
    // Connections are resources, created once.
    connections: HashMap<String, EntityUid, foldhash::fast::RandomState>,
}

fn entity(kind: &str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind).expect("a type's name"), EntityId::new(id))
}

fn policies(token: &Token<'_>) -> PolicySet {
    let mut text = String::new();
    for (connection, sources) in token.by_connection() {
        write!(text, "permit(principal, action, resource == Connection::\"{connection}\")").unwrap();
        if !sources.contains(&"*") {
            let exact: Vec<String> =
                sources.iter().filter(|source| !source.contains('*')).map(|name| format!("\"{name}\"")).collect();
            write!(text, " when {{ [{}].contains(context.name)", exact.join(",")).unwrap();
            for pattern in sources.iter().filter(|source| source.contains('*')) {
                write!(text, " || context.name like \"{pattern}\"").unwrap();
            }
            text.push_str(" }");
        }
        text.push_str(";\n");
    }
    PolicySet::from_str(&text).expect("policies")
}

impl Cedar {
    pub fn new(document: &Document<'_>, now: i64) -> Self {
        let connection = |name: String| (name.clone(), entity("Connection", &name));
        let names = (0..50).map(|at| format!("connection_{at:02}")).chain(["connection_zz".to_owned()]);
        Self {
            door: Door::new(document, now, |_, token| policies(token)),
            authorizer: Authorizer::new(),
            entities: Entities::empty(),
            principal: entity("Token", "presented"),
            action: entity("Action", "read"),
            connections: names.map(connection).collect(),
        }
    }
}

impl Engine for Cedar {
    fn decide(&mut self, asked: &ParsedRequest<'_>) -> bool {
        let Some(policies) = self.door.enter(asked) else { return false };
        let Some(connection) = self.connections.get(asked.connection) else { return false };
        let name = RestrictedExpression::new_string(asked.resource.to_owned());
        let context = Context::from_pairs([("name".to_owned(), name)]).expect("one key");
        let request = Request::new(self.principal.clone(), self.action.clone(), connection.clone(), context, None);
        let response = self.authorizer.is_authorized(&request.expect("no schema"), policies, &self.entities);
        response.decision() == Decision::Allow
    }
}

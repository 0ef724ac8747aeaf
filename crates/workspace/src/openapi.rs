//! The `OpenAPI` 3.1 document, made from the table of endpoints and the shapes of bodies.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::endpoint::{Endpoint, ParameterKind};
use crate::json::{Kind, Shape};
use crate::once::{IDEMPOTENCY_KEY, KEY_LENGTH};
use portcullis_registry::SCOPES;

/// Returns the document for a workspace at `url`.
pub(crate) fn document(url: &str, endpoints: &[&'static [Endpoint]]) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut schemas: BTreeMap<&str, Value> = BTreeMap::new();
    for endpoint in endpoints.iter().copied().flatten() {
        let methods = paths.entry(endpoint.path).or_default();
        methods.insert(endpoint.method.as_str().to_lowercase(), operation(endpoint));
        for shape in endpoint.body.map(|(shape, _)| shape).into_iter().chain(endpoint.success.shape) {
            collect(shape, &mut schemas);
        }
    }
    let scopes: Map<String, Value> =
        SCOPES.iter().map(|scope| ((*scope).to_owned(), json!(about_scope(scope)))).collect();
    schemas.insert("Problem", problem());
    collect(&crate::api::DETAIL, &mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portcullis workspace",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Manages tokens, named sources and OAuth clients. Operations marked `x-portcullis-addition` are not \
                            part of the platform's API.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": url }],
        "security": [{ "oauth": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "oauth": {
                    "type": "oauth2",
                    "flows": {
                        "clientCredentials": { "tokenUrl": format!("{url}/oauth/token"), "scopes": scopes },
                        "authorizationCode": {
                            "authorizationUrl": format!("{url}/oauth/authorize"),
                            "tokenUrl": format!("{url}/oauth/token"),
                            "refreshUrl": format!("{url}/oauth/token"),
                            "scopes": scopes,
                        },
                    },
                },
            },
        },
    })
}

/// Sets a field of an object.
fn set(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(fields) = object {
        fields.insert(name.to_owned(), value);
    }
}

fn about_scope(scope: &str) -> String {
    match scope.split_once(':') {
        Some(("read", what)) => format!("Read {}", what.replace('_', " ")),
        Some((_, what)) => format!("Change {}", what.replace('_', " ")),
        None => "Include the records of other users, if the user is an administrator or an auditor".to_owned(),
    }
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut parameters: Vec<Value> = path_parameters(endpoint.path);
    parameters.extend(endpoint.query.iter().map(|parameter| {
        let schema = match parameter.kind {
            ParameterKind::Text => json!({ "type": "string" }),
            ParameterKind::Bool => json!({ "type": "boolean" }),
            ParameterKind::Whole(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
            ParameterKind::OneOf(names) => json!({ "type": "string", "enum": names }),
        };
        json!({ "name": parameter.name, "in": "query", "description": parameter.about, "schema": schema })
    }));
    if endpoint.traits.needs_version {
        parameters.push(json!({
            "name": "If-Match", "in": "header", "required": true, "schema": { "type": "string" },
            "description": "The `ETag` of the version that was read, or `*` for every version.",
        }));
    }
    if endpoint.traits.is_made_once {
        parameters.push(json!({
            "name": IDEMPOTENCY_KEY, "in": "header",
            "schema": { "type": "string", "minLength": KEY_LENGTH.start(), "maxLength": KEY_LENGTH.end() },
            "description": "A new UUID for each change. A repeated request gets the same answer, and changes nothing.",
        }));
    }
    let mut operation = json!({
        "operationId": operation_id(endpoint),
        "summary": endpoint.summary,
        "tags": [endpoint.path.split(['/', ':']).nth(2).unwrap_or_default()],
        "parameters": parameters,
        "responses": responses(endpoint),
        "security": [{ "oauth": if endpoint.scope.is_empty() { json!([]) } else { json!([endpoint.scope]) } }],
    });
    if let Some((shape, is_required)) = endpoint.body {
        let content = json!({ "application/json": { "schema": reference(shape) } });
        set(&mut operation, "requestBody", json!({ "required": is_required, "content": content }));
    }
    if endpoint.traits.is_addition {
        set(&mut operation, "x-portcullis-addition", json!(true));
    }
    operation
}

fn operation_id(endpoint: &Endpoint) -> String {
    let words = endpoint.summary.split_whitespace().filter(|word| !matches!(*word, "a" | "an" | "the" | "of"));
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let parameter =
        |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } });
    names.map(parameter).collect()
}

fn responses(endpoint: &Endpoint) -> Value {
    let mut success = json!({ "description": "Success" });
    if let Some(shape) = endpoint.success.shape {
        set(&mut success, "content", json!({ "application/json": { "schema": reference(shape) } }));
    }
    if endpoint.success.has_version {
        let etag = json!({ "ETag": { "description": "The version.", "schema": { "type": "string" } } });
        set(&mut success, "headers", etag);
    }
    let mut responses = Map::new();
    responses.insert(endpoint.success.status.to_string(), success);
    if endpoint.success.has_version && endpoint.method == http::Method::GET {
        responses.insert("304".to_owned(), json!({ "description": "The caller has this version" }));
    }
    // The errors of every endpoint.
    let mut errors = vec![400, 401, 403, 429, 503];
    errors.extend(endpoint.errors);
    if endpoint.body.is_some() {
        errors.extend([413, 415]);
    }
    if endpoint.traits.needs_version {
        errors.extend([412, 428]);
    }
    for status in errors {
        let code = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        responses.insert(
            status.to_string(),
            json!({
                "description": code.unwrap_or("Error"),
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            }),
        );
    }
    Value::Object(responses)
}

fn reference(shape: &Shape) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", shape.name) })
}

fn collect(shape: &'static Shape, schemas: &mut BTreeMap<&'static str, Value>) {
    if schemas.contains_key(shape.name) {
        return;
    }
    let mut properties = Map::new();
    for member in shape.fields {
        let mut schema = match member.kind {
            Kind::Text => json!({ "type": "string" }),
            Kind::Nullable => json!({ "type": ["string", "null"] }),
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Whole => json!({ "type": "integer", "minimum": 0 }),
            Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Kind::Objects(shape) => json!({ "type": "array", "items": reference(shape) }),
            Kind::Object(shape) => json!({ "allOf": [reference(shape)] }),
            Kind::Any => json!({}),
        };
        set(&mut schema, "description", json!(member.about));
        properties.insert(member.name.to_owned(), schema);
    }
    let required: Vec<_> = shape.fields.iter().filter(|member| member.is_required).map(|member| member.name).collect();
    let schema = json!({
        "type": "object",
        "description": shape.about,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    schemas.insert(shape.name, schema);
    for member in shape.fields {
        if let Kind::Objects(inner) | Kind::Object(inner) = member.kind {
            collect(inner, schemas);
        }
    }
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "Why a request is refused (RFC 9457). `error` and `status` are the fields of the platform.",
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "error": { "type": "string", "description": "The problem." },
            "reason": { "type": "string", "description": "The stable code." },
            "help": { "type": "string", "description": "A fix." },
            "errors": { "type": "array", "items": { "$ref": "#/components/schemas/Detail" }, "description": "Every problem." },
        },
        "required": ["type", "title", "status", "detail", "error", "reason", "help", "errors"],
    })
}

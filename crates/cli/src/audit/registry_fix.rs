//! Fixes of findings in a registry: commands that make the change, instead of an edit of a document.

use portcullis::base::JsonPath;
use portcullis_audit::lint::{Change, Finding};
use serde_json::Value;

use crate::credentials::word;

/// Replaces the fix of each finding in `document`, the policy of the registry `db`, by a command on the registry.
/// A finding that no single command fixes keeps its instruction.
pub(super) fn replace(findings: &mut [Finding], document: &str, db: &str) {
    let document = serde_json::from_str(document).unwrap_or(Value::Null);
    for finding in findings {
        if let Some((fix, arguments)) = command(finding, &document) {
            finding.fix = format!("{fix}: `portcullis credentials {arguments} --all-users --db {}`", word(db)).into();
            finding.paste = None;
        }
    }
}

/// Returns the instruction, and the arguments of `portcullis credentials` that carry it out.
fn command(finding: &Finding, document: &Value) -> Option<(String, String)> {
    let id = word(finding.token.as_deref()?);
    let rotate = format!("rotate token {id} --overlap 7d --expiration-date 1y");
    match finding.rule.code {
        // The expiry of a token is fixed: a new secret may have another one.
        "all_sources_never_expire" | "public_token_never_expires" | "token_never_expires" => {
            return Some(("replace its secret by one that expires".to_owned(), rotate));
        }
        "expires_soon" => return Some(("replace its secret before it expires".to_owned(), rotate)),
        "expired" | "token_never_used" => return Some((finding.fix.to_string(), format!("delete token {id}"))),
        _ => {}
    }
    let options = match &finding.change {
        Change::None => return None,
        Change::Remove(path) => removal(document, path)?,
        Change::Replace(path, json) => format!("{} {}", removal(document, path)?, addition(document, path, json)?),
        Change::Insert(path, json) => addition(document, path, json)?,
    };
    Some((finding.fix.to_string(), format!("update token {id} {options}")))
}

/// Returns the option that removes the grant or the referer at `path`, which may be the path of the grant's source. `None` if
/// the token lists it twice: the option removes both.
fn removal(document: &Value, path: &JsonPath) -> Option<String> {
    let pointer = element(path);
    let removed = document.pointer(&pointer)?;
    let list = document.pointer(pointer.rsplit_once('/')?.0)?.as_array()?;
    if list.iter().filter(|other| *other == removed).count() > 1 {
        return None;
    }
    match removed {
        Value::String(referer) => Some(format!("--remove-referer {}", word(referer))),
        grant => Some(format!("--remove-grant {}", word(&pair(grant)?))),
    }
}

/// Returns the option that adds `json`: a grant, the new source of the grant at `path`, or a new referer.
fn addition(document: &Value, path: &JsonPath, json: &str) -> Option<String> {
    let added: Value = serde_json::from_str(json).ok()?;
    let grant = match (added, document.pointer(&element(path))?) {
        (Value::String(referer), Value::String(_)) => return Some(format!("--referer {}", word(&referer))),
        (Value::String(source), before) => {
            let mut grant = before.clone();
            *grant.get_mut("source")? = source.into();
            grant
        }
        (grant, _) => grant,
    };
    // The option has no type: the registry reads it from the text.
    let grant = pair(&grant).filter(|_| grant.get("type").is_none())?;
    Some(format!("--add-grant {}", word(&grant)))
}

/// Returns a grant as options write it.
fn pair(grant: &Value) -> Option<String> {
    let text = |key: &str| grant.get(key).and_then(Value::as_str);
    Some(format!("{},{}", text("connection_name")?, text("source")?))
}

/// Returns the JSON pointer of the element of a list at `path`, or of the grant whose source is there. The keys of a policy
/// need no escapes.
fn element(path: &JsonPath) -> String {
    let pointer = format!("/{}", path.to_string().replace(['.', '['], "/").replace(']', ""));
    pointer.strip_suffix("/source").map_or_else(|| pointer.clone(), str::to_owned)
}

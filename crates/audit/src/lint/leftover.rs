//! Takes back removals of grants after which a token would have no grant.

use std::collections::{HashMap, HashSet};

use super::finding::{Change, Fix, Raw};
use portcullis::base::Step;
use portcullis::model::Policy;

/// Replaces the removals of a token's grants if they would remove all of them: the token would be invalid.
pub(super) fn keep_a_grant(policy: &Policy, raws: &mut [Raw]) {
    let mut removed: HashMap<usize, HashSet<usize>> = HashMap::new();
    for raw in raws.iter() {
        if let (Some(token), Some(grant)) = (raw.token, removed_grant(raw)) {
            removed.entry(token).or_default().insert(grant);
        }
    }
    removed
        .retain(|token, grants| policy.tokens().get(*token).is_some_and(|token| grants.len() >= token.grants().len()));
    for raw in raws.iter_mut().filter(|raw| removed_grant(raw).is_some()) {
        if raw.token.is_some_and(|token| removed.contains_key(&token)) {
            raw.fix = Fix::say("correct it, or revoke the token: no other grant would be left");
        }
    }
}

/// Returns the index of the grant that the fix removes.
fn removed_grant(raw: &Raw) -> Option<usize> {
    let Change::Remove(path) = &raw.fix.change else { return None };
    match path.steps() {
        [_, _, Step::Key(key), Step::Index(index)] if key == "grants" => Some(*index),
        _ => None,
    }
}

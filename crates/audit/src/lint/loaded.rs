//! Turns the warnings of loading into findings.

use std::collections::HashSet;

use super::finding::{Change, Finding, Raw};
use super::rule::{
    BIDI_CHARACTER, INVISIBLE_CHARACTER, PATTERN_TOO_SHALLOW, Rule, STAR_READING, VERY_WIDE_PATTERN,
    WILDCARD_BEFORE_SECOND_DOT,
};
use super::{LintOptions, hosts::covers_public_suffix, words};
use portcullis::referer::Entry;
use portcullis_document::load::{Diagnostic, Input, Loaded, site};

/// Returns the enabled warnings, without those that a finding of `raws` reports in more detail.
pub(super) fn findings(inputs: &[Input], loaded: &Loaded, raws: &[Raw], options: &LintOptions) -> Vec<Finding> {
    let better: HashSet<(&Rule, usize, String)> =
        raws.iter().filter_map(|raw| Some((worse_than(raw.rule)?, raw.document, raw.path.to_string()))).collect();
    let finding = |found: &Diagnostic| {
        let rule = Rule::find(found.code)?;
        let document = inputs.iter().position(|input| input.name() == found.file);
        let is_replaced = document.is_some_and(|document| better.contains(&(rule, document, found.path.clone())));
        if is_replaced || options.allow.contains(rule.code) {
            return None;
        }
        Some(Finding {
            rule,
            file: found.file.clone(),
            path: found.path.clone(),
            line: found.line,
            column: found.column,
            span: found.span.clone(),
            end: None,
            token: document.and_then(|document| token(loaded, document, &found.path)),
            message: found.message.clone().into_owned(),
            fix: found.help.clone(),
            paste: document.and_then(|document| inputs.get(document)).and_then(|input| paste(rule, found, input)),
            edit: None,
            change: Change::None,
            witness: None,
        })
    };
    loaded.warnings().filter_map(finding).collect()
}

/// Returns the warning that a finding of this rule replaces, because the finding has a witness, a share or an edit.
fn worse_than(rule: &Rule) -> Option<&'static Rule> {
    match rule {
        rule if rule == &STAR_READING => Some(&PATTERN_TOO_SHALLOW),
        // The finding has an edit.
        rule if rule == &BIDI_CHARACTER => Some(&BIDI_CHARACTER),
        rule if rule == &INVISIBLE_CHARACTER => Some(&INVISIBLE_CHARACTER),
        rule if rule == &VERY_WIDE_PATTERN => Some(&WILDCARD_BEFORE_SECOND_DOT),
        _ => None,
    }
}

/// Returns the id of the token that contains the value at `path`.
fn token(loaded: &Loaded, document: usize, path: &str) -> Option<String> {
    let number = path.strip_prefix("tokens[")?.split(']').next()?.parse().ok()?;
    let key = (document, number);
    let at = loaded.origins().binary_search_by_key(&key, |origin| (origin.document, origin.token)).ok()?;
    Some(loaded.policy.as_ref()?.tokens().get(at)?.id().to_owned())
}

/// Returns the corrected text of a referer, as JSON; `None` if it is valid for no host, or for too many.
fn paste(rule: &Rule, found: &Diagnostic, input: &Input) -> Option<String> {
    let written: String = serde_json::from_str(input.text().get(found.span.clone()?)?).ok()?;
    let entry = Entry::parse(&written).ok()?;
    let corrected = match rule.code {
        // The default port is not in the text of an entry.
        "referer_http" => format!("https{}", entry.as_str().strip_prefix("http")?),
        "referer_full_path" => site(&entry),
        _ => return None,
    };
    let is_meant = Entry::parse(&corrected).is_ok_and(|entry| !covers_public_suffix(&entry));
    is_meant.then(|| words::json(&corrected))
}

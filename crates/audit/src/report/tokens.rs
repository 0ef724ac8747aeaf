//! Lists the tokens of the policy as a table.

use std::cmp::Reverse;
use std::collections::HashMap;

use maud::{Markup, html};

use super::data::{Names, Report, TokenRow};
use super::numbers::{counted, grouped};
use portcullis::base::Timestamp;
use portcullis::model::{Api, Expiry, Policy, Referers, Token};

/// Max tokens that are listed.
const TOKENS: usize = 200;

/// Max referers of a token that are listed.
const REFERERS: usize = 3;

/// Returns the rows of the first tokens, and the number of the rest. With `exposed`, which has the names by index of
/// the token, tokens that expose more names come first.
pub(super) fn rows(policy: &Policy, now: Timestamp, exposed: Option<&HashMap<usize, Names>>) -> (Vec<TokenRow>, u64) {
    let mut tokens: Vec<(usize, &Token)> = policy.tokens().iter().enumerate().collect();
    let names = |index: usize| exposed.map(|exposed| exposed.get(&index).copied().unwrap_or_default());
    tokens.sort_by_key(|(index, _)| Reverse(names(*index).map(Names::total)));
    let row = |&(index, token): &(usize, &Token)| TokenRow {
        id: token.id().to_owned(),
        expiry: token.expiry(),
        expired: token.expiry().is_expired(now),
        apis: token.apis().iter().filter_map(|id| policy.apis().get(id)).map(Api::name).map(str::to_owned).collect(),
        referers: referers(token),
        grants: token.grants().len() as u64,
        exposed: names(index),
    };
    (tokens.iter().take(TOKENS).map(row).collect(), tokens.len().saturating_sub(TOKENS) as u64)
}

fn referers(token: &Token) -> String {
    let Referers::Only(set) = token.referers() else { return "any".to_owned() };
    let shown: Vec<String> = set.entries().take(REFERERS).map(|entry| entry.as_str().to_owned()).collect();
    match set.len() - shown.len() {
        0 => shown.join(" "),
        more => format!("{} and {more} more", shown.join(" ")),
    }
}

pub(super) fn section(report: &Report) -> Markup {
    let exposes = report.token_rows.iter().any(|token| token.exposed.is_some());
    html! {
        section aria-labelledby="tokens-list" {
            h2 id="tokens-list" { "Tokens" }
            @if report.token_rows.is_empty() {
                p.empty { "The policy has no token." }
            } @else {
                div.scrolls tabindex="0" {
                    table.listed {
                        thead { tr {
                            @for cell in ["Token", "Expires", "APIs", "Referers", "Grants"] { th scope="col" { (cell) } }
                            @if exposes { th scope="col" { "Exposes" } }
                        } }
                        tbody { @for token in &report.token_rows { tr {
                            th scope="row" { (token.id) }
                            td { (expires(token)) }
                            td { (token.apis.join(", ")) }
                            td { (token.referers) }
                            td { (grouped(token.grants)) }
                            @if let Some(names) = token.exposed { td { (exposed(names)) } }
                        } } }
                    }
                }
                @if report.tokens_left_out > 0 {
                    p.more { (counted(report.tokens_left_out, "more token")) " are not listed." }
                }
            }
        }
    }
}

fn expires(token: &TokenRow) -> String {
    match token.expiry {
        Expiry::Never => "never".to_owned(),
        Expiry::At(end) if token.expired => format!("expired {end}"),
        Expiry::At(end) => end.to_string(),
    }
}

fn exposed(names: Names) -> String {
    match names.through_queries {
        0 => grouped(names.own),
        through => format!("{} + {} through queries", grouped(names.own), grouped(through)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_expose_more_come_first_and_the_rest_is_counted() {
        let tokens: Vec<String> = (0..TOKENS + 2)
            .map(|at| format!(r#"{{"id": "t{at}", "token": "s3cret-{at}", "allowed_apis": ["lds"]}}"#))
            .collect();
        let policy = portcullis_document::load::policy(format!("[{}]", tokens.join(","))).unwrap();
        let now = "2026-11-24".parse().unwrap();
        let (listed, left_out) = rows(&policy, now, None);
        assert_eq!((listed.len(), left_out, listed[0].id.as_str(), listed[0].exposed), (TOKENS, 2, "t0", None));
        let exposed = HashMap::from([(201, Names { own: 1, through_queries: 2 })]);
        let (listed, _) = rows(&policy, now, Some(&exposed));
        assert_eq!((listed[0].id.as_str(), listed[1].id.as_str()), ("t201", "t0"));
        assert_eq!(listed[1].exposed, Some(Names::default()));
    }
}

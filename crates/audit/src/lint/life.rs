//! Checks the expiry of tokens, and whether tokens and grants are used.

use super::Collector;
use super::finding::{Fix, Raw};
use super::rule::{
    ALL_SOURCES_NEVER_EXPIRE, EXPIRES_SOON, GRANT_NEVER_USED, Rule, TOKEN_NEVER_EXPIRES, TOKEN_NEVER_USED,
};
use super::subject::Subject;
use super::words::counted;
use crate::usage::Usage;
use portcullis::base::{JsonPath, Timestamp, quoted};
use portcullis::model::{Api, Expiry, GrantKind, GrantSource, Operation, Referers};

const DAY: i64 = 86_400;

pub(super) fn look(subject: &Subject<'_>, usage: Option<&Usage>, found: &mut Collector<'_>) {
    expiry(subject, found);
    if let Some(usage) = usage {
        used(subject, usage, found);
    }
}

fn expiry(subject: &Subject<'_>, found: &mut Collector<'_>) {
    let now = found.options.now;
    match subject.token.expiry() {
        // Loading already warns about public tokens.
        Expiry::Never if *subject.token.referers() == Referers::Any => {
            let all = all_sources(subject);
            let in_a_year = date(Timestamp::from_unix(now.seconds().saturating_add(365 * DAY), 0));
            let member = format!("\"expiration_date\": \"{in_a_year}\"");
            let say = "give it an end, and replace it before";
            // The token may have the key, with `null`. Then the finding is at the value to replace.
            let null = subject.has_expiration().then(|| subject.path().key("expiration_date"));
            let fix = match &null {
                Some(null) => Fix::replace(say, null.clone(), &in_a_year),
                None => Fix::insert(say, subject.id_place(), member),
            };
            let (rule, near, message) = match all {
                Some(grant) => (
                    &ALL_SOURCES_NEVER_EXPIRE,
                    subject.source_path(grant),
                    "the token covers all sources and never expires: if it leaks, they stay readable indefinitely",
                ),
                None => (
                    &TOKEN_NEVER_EXPIRES,
                    subject.id_place(),
                    "the token never expires: if it leaks, it stays valid indefinitely",
                ),
            };
            found.add(raw(subject, rule, null.unwrap_or(near), message.to_owned(), fix));
        }
        Expiry::At(end) if !subject.token.expiry().is_expired(now) => {
            let left = end.seconds().saturating_sub(now.seconds());
            if left <= found.options.expires_within {
                let when = if left < DAY { "within a day".to_owned() } else { in_days(left) };
                let message = format!("the token expires {when}, at {end}");
                let fix = Fix::say("make another token, and replace this one before it expires");
                let path = subject.path().key("expiration_date");
                found.add(raw(subject, &EXPIRES_SOON, path, message, fix));
            }
        }
        Expiry::Never | Expiry::At(_) => {}
    }
}

/// Returns the index of the first grant of all sources that an API of the token considers.
fn all_sources(subject: &Subject<'_>) -> Option<usize> {
    let apis = subject.token.apis().iter().filter_map(|api| subject.policy.apis().get(api));
    let considers =
        |api: &Api| [Operation::Query, Operation::Model].map(|it| api.considers(it).contains(GrantKind::All));
    if !apis.flat_map(considers).any(|considered| considered) {
        return None;
    }
    subject.token.grants().iter().position(|grant| *grant.source() == GrantSource::All)
}

fn in_days(seconds: i64) -> String {
    format!("in {}", counted((seconds / DAY).unsigned_abs(), "day"))
}

/// Returns the date of `at`, as documents write it.
fn date(at: Timestamp) -> String {
    at.to_string().chars().take_while(|character| *character != 'T').collect()
}

fn used(subject: &Subject<'_>, usage: &Usage, found: &mut Collector<'_>) {
    let token = subject.token;
    let (Some(from), Some(to)) = (usage.from(), usage.to()) else { return };
    // A token that is newer than the record, or expired before it, had no time to be used.
    let is_new = token.created_at().is_some_and(|created| created > from);
    if is_new || token.expiry().is_expired(from) {
        return;
    }
    let span =
        format!("from {from} to {to}{}", if usage.is_sampled() { ", where only a part is recorded" } else { "" });
    let use_of = usage.token(token.id());
    let Some(use_of) = use_of.filter(|use_of| use_of.allowed() > 0) else {
        let (message, say) = match use_of {
            Some(use_of) => {
                let denied = counted(use_of.denied(), "request");
                (
                    format!("no request of the token was allowed {span}, and {denied} denied"),
                    "correct its grants, or revoke it",
                )
            }
            None => (format!("the token was never used {span}"), "revoke it"),
        };
        let fix = Fix::remove(say, subject.path());
        return found.add(raw(subject, &TOKEN_NEVER_USED, subject.id_place(), message, fix));
    };
    // A registry records only tokens, not grants.
    let Some(grants) = use_of.grants() else { return };
    for (index, grant) in token.grants().iter().enumerate() {
        if grants.contains(&u32::try_from(index).unwrap_or(u32::MAX)) {
            continue;
        }
        let message = format!(
            "no request {span} needed grant {} of the token, which was used {}",
            quoted(&subject.display(grant)),
            counted(use_of.allowed(), "time")
        );
        let fix = Fix::remove("remove the grant", subject.grant_path(index));
        found.add(raw(subject, &GRANT_NEVER_USED, subject.source_path(index), message, fix));
    }
}

fn raw(subject: &Subject<'_>, rule: &'static Rule, path: JsonPath, message: String, fix: Fix) -> Raw {
    Raw { rule, document: subject.origin.document, token: Some(subject.index), path, message, fix, witness: None }
}

//! What is legal in a policy but surely unintended, or soon will be: findings with a stable code, a place, why, and a fix.
//!
//! [`lint`] takes over the warnings of [`load`](mod@portcullis_document::load) and adds what takes more than one token to see, a catalog
//! of real names ([`Names`]), or what was used ([`Usage`]). [`RULES`] lists every rule. [`sarif`] writes
//! findings for tools that review code.
//!
//! ```
//! use portcullis_audit::lint::{Evidence, LintOptions, lint};
//! use portcullis_document::load::{Input, LoadOptions, load};
//!
//! let inputs = [Input::new("policy.json", r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["maps"], "grants": [
//!     {"connection_name": "dw", "source": "db.s.*"}, {"connection_name": "dw", "source": "db.s.roads"}]}]"#)];
//! let now = "2026-11-24".parse()?;
//! let loaded = load(&inputs, &LoadOptions { warnings: true, now: Some(now), ..LoadOptions::default() });
//! let findings = lint(&inputs, &loaded, &LintOptions::at(now), Evidence::default())?;
//! let redundant = findings.iter().find(|finding| finding.rule.code == "redundant_grant").unwrap();
//! assert_eq!(redundant.place, "tokens[0].grants[1].source");
//! assert_eq!((redundant.line, redundant.column), (2, 88));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod finding;
mod grants;
mod hosts;
mod life;
mod loaded;
mod names;
mod readings;
mod replay;
mod rule;
pub mod sarif;
mod spots;
mod subject;
mod texts;
mod words;

use std::collections::HashSet;

pub use finding::{Edit, Finding, Witness};
pub use names::Names;
pub use replay::WitnessError;
pub use rule::{RULES, Rule, Severity};

use super::usage::Usage;
use finding::Raw;
use portcullis::base::Timestamp;
use portcullis_document::load::{Input, Loaded};
use replay::Claim;

/// What to look for.
#[derive(Debug, Clone, PartialEq)]
pub struct LintOptions {
    /// What time it is.
    pub now: Timestamp,
    /// Seconds before its expiry from which on a token expires soon. 30 days unless set.
    pub expires_within: i64,
    /// From which share of a connection's catalog on a pattern is very wide, 0 to 1. One half unless set.
    pub wide_share: f64,
    /// Codes of rules that are not to be told.
    pub allow: HashSet<&'static str>,
}

impl LintOptions {
    /// As they are unless set, at this time.
    pub fn at(now: Timestamp) -> Self {
        Self { now, expires_within: 30 * 86_400, wide_share: 0.5, allow: HashSet::new() }
    }
}

/// What is known beside the policy.
#[derive(Debug, Default)]
pub struct Evidence<'e> {
    /// The names of a catalog, seen; without one, those of the policy's own resources stand for it where that makes sense.
    pub names: Option<Names>,
    /// What was used.
    pub usage: Option<&'e Usage>,
}

/// Everything found in the policy of `loaded`, which is what `inputs` say; by severity, then by input and place. Nothing
/// where there is no policy.
///
/// The warnings of `loaded` are among it: load with [`LoadOptions::warnings`](portcullis_document::load::LoadOptions::warnings), and the
/// same time.
///
/// Linear in the policy, but for grants that differ only in text between two stars of one segment. A name that a finding
/// gives for a witness has been decided.
///
/// # Errors
///
/// If a witness is decided otherwise than the finding says: a bug, and not to be passed over.
pub fn lint(
    inputs: &[Input],
    loaded: &Loaded,
    options: &LintOptions,
    evidence: Evidence<'_>,
) -> Result<Vec<Finding>, WitnessError> {
    let Some(policy) = &loaded.policy else { return Ok(Vec::new()) };
    let names = evidence.names.unwrap_or_else(|| Names::of(policy));
    let mut found = Collector { options, raws: Vec::new(), claims: Vec::new() };
    let mut looks = texts::Looks::new(policy);
    subject::each(inputs, loaded, policy, |subject| {
        grants::look(&subject, &mut found);
        readings::look(&subject, &names, &mut found);
        hosts::look(&subject, &mut found);
        life::look(&subject, evidence.usage, &mut found);
        texts::look(&subject, &mut found);
        looks.look(&subject, &mut found);
    });
    let Collector { raws, claims, .. } = found;
    replay::confirm(policy, &claims)?;
    drop(claims);
    let mut findings = loaded::findings(inputs, loaded, &raws, options);
    findings.extend(spots::locate(inputs, policy, raws));
    let order = |finding: &Finding| {
        let file = inputs.iter().position(|input| input.name() == finding.file);
        (std::cmp::Reverse(finding.rule.severity), file, finding.line, finding.column, finding.rule.code)
    };
    findings.sort_by_cached_key(order);
    Ok(findings)
}

/// What the rules have found so far.
struct Collector<'o> {
    options: &'o LintOptions,
    raws: Vec<Raw>,
    claims: Vec<Claim>,
}

impl Collector<'_> {
    fn add(&mut self, raw: Raw) {
        if self.is_enabled(raw.rule) {
            self.raws.push(raw);
        }
    }

    fn is_enabled(&self, rule: &Rule) -> bool {
        !self.options.allow.contains(rule.code)
    }
}

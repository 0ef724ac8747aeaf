//! Finds valid parts of a policy that are surely unintended, or soon will be. Each finding has a stable code, a
//! position, a reason and a fix.
//!
//! [`lint`] includes the warnings of [`load`](mod@portcullis_document::load). It adds findings that need several
//! tokens, a catalog of real names ([`Names`]), or the recorded use ([`Usage`]). [`RULES`] lists every rule. [`sarif`]
//! describes findings for code review tools.
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
//! assert_eq!(redundant.path, "tokens[0].grants[1].source");
//! assert_eq!((redundant.line, redundant.column), (2, 88));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod finding;
mod grants;
mod hosts;
mod leftover;
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
mod uri;
mod words;

use std::collections::HashSet;

pub use finding::{Change, Edit, Finding, Witness};
pub use names::Names;
pub use replay::WitnessError;
pub use rule::{RULES, Rule, Severity};
pub use uri::relative_uri;

use super::usage::Usage;
use finding::Raw;
use portcullis::base::Timestamp;
use portcullis_document::load::{Input, Loaded};
use replay::Claim;

/// The settings of the rules.
#[derive(Debug, Clone, PartialEq)]
pub struct LintOptions {
    /// The current time.
    pub now: Timestamp,
    /// A token expires soon within so many seconds before its expiry. Default: 30 days.
    pub expires_within: i64,
    /// The share of a connection's catalog, 0 to 1, from which a pattern is very wide. Default: 0.5.
    pub wide_share: f64,
    /// Codes of the rules to leave out.
    pub allow: HashSet<&'static str>,
}

impl LintOptions {
    /// Returns the defaults, at this time.
    pub fn at(now: Timestamp) -> Self {
        Self { now, expires_within: 30 * 86_400, wide_share: 0.5, allow: HashSet::new() }
    }
}

/// Information beyond the policy.
#[derive(Debug, Default)]
pub struct Evidence<'e> {
    /// The names of a catalog. Without one, some rules use the policy's own resources instead.
    pub names: Option<Names>,
    /// The recorded use of tokens and grants.
    pub usage: Option<&'e Usage>,
}

/// Returns all findings in the policy of `loaded`, which must be loaded from `inputs`. The order is by severity, then
/// by input and position. Returns nothing if there is no policy.
///
/// Includes the warnings of `loaded`: load with
/// [`LoadOptions::warnings`](portcullis_document::load::LoadOptions::warnings) and the same time.
///
/// Linear in the policy, except for grants that differ only in text between two stars of one segment. Every witness of
/// a finding is confirmed by a decision.
///
/// # Errors
///
/// Returns an error if a decision contradicts a witness, which is a bug.
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
    subject::each(loaded, policy, |subject| {
        grants::look(&subject, &mut found);
        readings::look(&subject, &names, &mut found);
        hosts::look(&subject, &mut found);
        life::look(&subject, evidence.usage, &mut found);
        looks.look(&subject, &mut found);
    });
    let Collector { mut raws, claims, .. } = found;
    leftover::keep_a_grant(policy, &mut raws);
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

/// Collects the findings of all rules.
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

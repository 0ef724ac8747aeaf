//! Fills a report from a policy, findings and a catalog.

use jiff::tz::TimeZone;

use super::data::{CallRow, FindingRow, Lives, Month, Report};
use super::schema_counts::SchemaCounts;
use super::tokens;
use crate::lint::{Finding, Severity};
use crate::reads::{Call, Followed};
use portcullis::base::Timestamp;
use portcullis::model::{Expiry, Policy, Token};
use portcullis::snapshot::ContentId;

/// The number of months that are shown.
const MONTHS: usize = 24;

/// Max findings that are shown, because people read the page.
const FINDINGS: usize = 200;

impl Report {
    /// Creates a report on `policy` without catalog and findings.
    pub fn new(title: impl Into<String>, policy: &Policy, now: Timestamp) -> Self {
        let (token_rows, tokens_left_out) = tokens::rows(policy, now, None);
        Self {
            title: title.into(),
            token_rows,
            tokens_left_out,
            made: Timestamp::from_unix(now.seconds(), 0),
            tokens: policy.tokens().len() as u64,
            grants: policy.tokens().iter().map(|token| token.grants().len() as u64).sum(),
            connections: policy.connections().len() as u64,
            lives: Lives::of(policy.tokens(), now),
            ..Self::default()
        }
    }

    /// Adds the findings, the most severe first; of very many, only the first.
    #[must_use]
    pub fn with_findings(mut self, findings: &[Finding]) -> Self {
        self.findings = findings.iter().take(FINDINGS).map(row).collect();
        for finding in findings.iter().skip(FINDINGS) {
            let severity = Severity::ALL.iter().position(|severity| *severity == finding.rule.severity);
            if let Some(count) = severity.and_then(|at| self.findings_left_out.get_mut(at)) {
                *count += 1;
            }
        }
        self
    }

    /// Adds the id of the policy's content.
    #[must_use]
    pub fn with_content(self, content: ContentId) -> Self {
        Self { content: Some(content), ..self }
    }

    /// Adds what the granted queries and named sources of `policy` call.
    #[must_use]
    pub fn with_queries(mut self, policy: &Policy, followed: &Followed<'_>) -> Self {
        let row = |call: &Call<'_>| {
            let connection = policy.connection(call.connection)?.name().to_owned();
            Some(CallRow { connection, call: call.text.to_owned(), queries: call.queries })
        };
        self.calls = followed.calls(|_, _| true).iter().filter_map(row).collect();
        self
    }

    /// Adds the exposure of the catalog with that name.
    #[must_use]
    pub fn with_catalog(mut self, name: impl Into<String>, counts: &SchemaCounts<'_>) -> Self {
        let (exposure, matrix) = counts.sum();
        let names = counts.names();
        (self.token_rows, self.tokens_left_out) = tokens::rows(counts.policy(), self.made, Some(&names));
        self.catalog = Some(name.into());
        self.exposure = Some(exposure);
        self.matrix = Some(matrix);
        self
    }
}

fn row(finding: &Finding) -> FindingRow {
    FindingRow {
        severity: finding.rule.severity,
        code: finding.rule.code.to_owned(),
        position: format!("{}:{}, {}", file_name(&finding.file), finding.line, finding.path),
        token: finding.token.clone(),
        message: finding.message.clone(),
        fix: finding.fix.clone().into_owned(),
        paste: finding.paste.clone(),
    }
}

/// Returns the name of a file without its folders, which readers of the page must not learn.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or_default()
}

impl Lives {
    /// Counts `tokens` by expiry, at `now`.
    pub fn of(tokens: &[Token], now: Timestamp) -> Self {
        let mut lives = Self { months: months(now), ..Self::default() };
        for token in tokens {
            let count = match token.expiry() {
                Expiry::Never => &mut lives.never,
                expiry if expiry.is_expired(now) => &mut lives.expired,
                Expiry::At(end) => {
                    let of = month_of(end);
                    let here = lives.months.iter_mut().find(|month| Some((month.year, month.month)) == of);
                    here.map_or(&mut lives.later, |month| &mut month.ends)
                }
            };
            *count += 1;
        }
        lives
    }
}

fn month_of(at: Timestamp) -> Option<(i16, i8)> {
    let civil = at.to_jiff()?.to_zoned(TimeZone::UTC);
    Some((civil.year(), civil.month()))
}

fn months(now: Timestamp) -> Vec<Month> {
    let next =
        |&(year, month): &(i16, i8)| Some(if month < 12 { (year, month + 1) } else { (year.checked_add(1)?, 1) });
    let months = std::iter::successors(month_of(now), next).take(MONTHS);
    months.map(|(year, month)| Month { year, month, ends: 0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_counts_in_one_bucket() {
        let policy = portcullis_document::load::policy(
            r#"[{"id": "a", "token": "1", "allowed_apis": ["lds"], "expiration_date": "2026-11-24"},
            {"id": "b", "token": "2", "allowed_apis": ["lds"], "expiration_date": "2026-11-30"},
            {"id": "c", "token": "3", "allowed_apis": ["lds"], "expiration_date": "2027-01-01"},
            {"id": "d", "token": "4", "allowed_apis": ["lds"], "expiration_date": "2028-10-31T23:59:59Z"},
            {"id": "e", "token": "5", "allowed_apis": ["lds"], "expiration_date": "2028-11-01"},
            {"id": "f", "token": "6", "allowed_apis": ["lds"]}]"#,
        )
        .unwrap();
        let Lives { expired, months, later, never } =
            Lives::of(policy.tokens(), "2026-11-24T12:00:00Z".parse().unwrap());
        let ends: Vec<_> =
            months.iter().filter(|month| month.ends > 0).map(|month| (month.year, month.month, month.ends)).collect();
        assert_eq!((expired, later, never, months.len()), (1, 1, 1, 24));
        assert_eq!(ends, [(2026, 11, 1), (2027, 1, 1), (2028, 10, 1)]);
    }
}

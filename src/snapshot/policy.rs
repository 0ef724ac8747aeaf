//! The policy that a snapshot decides by, read back from it.

use super::compiled::{Compiled, Found};
use super::{Row, Snapshot};
use crate::model::{
    ConnectionId, Grant, GrantKind, GrantSource, Limits, Policy, Referers, SourceType, Token, TokenParts,
};
use crate::name::Written;
use crate::referer::{Entry, RefererSet, StoredSet};

/// A snapshot holds what no compilation writes, as only a file with forged checksums can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{place}` of token `{token}` is not what a compilation writes: compile the policy again")]
pub struct RestoreError {
    /// The id of the token.
    pub token: String,
    /// Where in it, such as `grants[3]`.
    pub place: String,
}

/// More places in a row that hold a grant written before are not believed.
const MOST_REPEATED: usize = 1 << 20;

impl Snapshot {
    /// The policy that this snapshot decides by: what an audit asks of a policy that is only there compiled.
    ///
    /// It decides as this snapshot does, grant numbers included. What decisions do not need is not in a snapshot: names,
    /// owners, when a token was created, and which grants were written twice (each such place holds the token's first
    /// grant). Each name and text is read again, by its rules (N2 to N6), so that nothing comes out of a file unchecked.
    ///
    /// Linear in the number of tokens and grants and in the bytes of their names.
    ///
    /// # Errors
    ///
    /// If a grant cannot be read, which no compiled policy leads to.
    ///
    /// # Examples
    ///
    /// ```
    /// use portcullis::{Options, Snapshot};
    /// use portcullis_document::load;
    ///
    /// let policy = load::policy(
    ///     r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["maps"],
    ///          "grants": [{"connection_name": "carto_dw", "source": "carto.shared.CARTO_*"}]}]"#,
    /// )?;
    /// let restored = Snapshot::compile(&policy, &Options::default())?.policy()?;
    /// assert_eq!(restored.tokens()[0].grants(), policy.tokens()[0].grants());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn policy(&self) -> Result<Policy, RestoreError> {
        let limits = Limits { query_bytes: self.base.query_bytes() };
        let tokens = self.found().map(|found| token(found, &limits)).collect::<Result<_, _>>()?;
        Policy::new(self.context.connections().to_vec(), self.apis().clone(), tokens, limits)
            .map_err(|error| RestoreError { token: String::new(), place: error.to_string() })
    }
}

fn token(found: Found<'_>, limits: &Limits) -> Result<Token, RestoreError> {
    let Found { compiled, row, .. } = found;
    let id = compiled.token_id(row);
    let wrong = |place: String| RestoreError { token: id.to_owned(), place };
    let entries =
        |set: StoredSet<'_>| set.entries().map(|entry| Entry::parse(entry.as_str())).collect::<Result<Vec<_>, _>>();
    let referers = match compiled.referers(row).map(entries).transpose() {
        Ok(None) => Referers::Any,
        Ok(Some(entries)) if !entries.is_empty() => Referers::Only(RefererSet::new(entries)),
        Ok(_) | Err(_) => return Err(wrong("referers".to_owned())),
    };
    Ok(Token::from(TokenParts {
        id: id.into(),
        name: None,
        owner: None,
        digest: row.digest(),
        apis: row.apis(),
        grants: grants(compiled, row, limits).map_err(|place| wrong(format!("grants[{place}]")))?,
        referers,
        expiry: row.expiry(),
        created_at: None,
    }))
}

/// The grants of a row; the place of one that cannot be read.
fn grants(compiled: &Compiled, row: &Row, limits: &Limits) -> Result<Box<[Grant]>, usize> {
    let mut placed = Vec::new();
    for block in compiled.blocks(row) {
        block.each(|kind, text, place| placed.push((place as usize, block.connection, kind, text)));
    }
    placed.sort_unstable_by_key(|(place, ..)| *place);
    let mut grants: Vec<Grant> = Vec::with_capacity(placed.len());
    for (place, connection, kind, text) in placed {
        let known = compiled.connection_at(connection).ok_or(place)?;
        let text = text.map(|text| compiled.text(text).whole());
        let text = match kind {
            GrantKind::Resource | GrantKind::Pattern => {
                text.map(|bytes| Written { bytes: (*bytes).into(), dialect: known.dialect() }.to_string())
            }
            GrantKind::Query | GrantKind::NamedSource => {
                text.map(|bytes| String::from_utf8(bytes.into_owned()).map_err(|_| place)).transpose()?
            }
            GrantKind::All => None,
        };
        let source = GrantSource::typed(text.as_deref(), SourceType::of(kind), known.dialect(), limits);
        let grant = Grant::new(ConnectionId::new(connection), source.map_err(|_| place)?);
        // A grant that was written before stands for these.
        match grants.first().cloned() {
            Some(first) if place.saturating_sub(grants.len()) <= MOST_REPEATED => {
                grants.resize(place.max(grants.len()), first);
            }
            _ => {}
        }
        if place != grants.len() {
            return Err(place);
        }
        grants.push(grant);
    }
    Ok(grants.into())
}

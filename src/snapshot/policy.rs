//! Restores the policy from a snapshot.

use super::compiled::{Compiled, TokenRef};
use super::{Row, Snapshot};
use crate::base::quoted;
use crate::model::{
    ConnectionId, Grant, GrantKind, GrantSource, Limits, Policy, Referers, SourceType, Token, TokenParts,
};
use crate::name::NameDisplay;
use crate::referer::{Entry, RefererSet, StoredSet};

/// The error for a snapshot with contents that no compilation writes. Only a file with forged checksums leads to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid `{path}` of token {} in the compiled policy: compile the policy again", quoted(token))]
pub struct RestoreError {
    /// The id of the token.
    pub token: String,
    /// The JSON path within the token, such as `grants[3]`.
    pub path: String,
}

/// The maximum number of consecutive indexes that repeat an earlier grant. A longer gap is treated as forged.
const MAX_REPEATED: usize = 1 << 20;

impl Snapshot {
    /// Returns the policy that this snapshot decides by. Audits use it if only the compiled form of a policy is
    /// available.
    ///
    /// The policy decides exactly as this snapshot does, including grant indexes. A snapshot does not contain:
    ///
    /// - the names and owners of tokens, and the instants of their creation;
    /// - repeated grants: each index of a repeated grant holds the token's first grant.
    ///
    /// Each name and text is parsed again by its rules (N2 to N6), so nothing from a file stays unchecked.
    ///
    /// Linear in the number of tokens and grants and in the bytes of their names.
    ///
    /// # Errors
    ///
    /// If a grant cannot be read. This does not happen for a policy that was compiled.
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
        let tokens = self.token_refs().map(|found| token(found, &limits)).collect::<Result<_, _>>()?;
        Policy::new(self.context.connections().to_vec(), self.apis().clone(), tokens, limits)
            .map_err(|error| RestoreError { token: String::new(), path: error.to_string() })
    }
}

fn token(found: TokenRef<'_>, limits: &Limits) -> Result<Token, RestoreError> {
    let TokenRef { compiled, row, .. } = found;
    let id = compiled.token_id(row);
    let invalid = |path: String| RestoreError { token: id.to_owned(), path };
    let entries =
        |set: StoredSet<'_>| set.entries().map(|entry| Entry::parse(entry.as_str())).collect::<Result<Vec<_>, _>>();
    let referers = match compiled.referers(row).map(entries).transpose() {
        Ok(None) => Referers::Any,
        Ok(Some(entries)) if !entries.is_empty() => Referers::Only(RefererSet::new(entries)),
        Ok(_) | Err(_) => return Err(invalid("referers".to_owned())),
    };
    Ok(Token::from(TokenParts {
        id: id.into(),
        name: None,
        owner: None,
        digest: row.digest(),
        apis: compiled.terms(row).apis(),
        grants: grants(compiled, row, limits).map_err(|index| invalid(format!("grants[{index}]")))?,
        referers,
        expiry: compiled.terms(row).expiry(),
        created_at: None,
    }))
}

/// Returns the grants of a row; the error is the index of a grant that cannot be read.
fn grants(compiled: &Compiled, row: &Row, limits: &Limits) -> Result<Box<[Grant]>, usize> {
    let mut grants_by_index = Vec::new();
    for block in compiled.blocks(row) {
        block.each(|kind, text, index| grants_by_index.push((index as usize, block.connection, kind, text)));
    }
    grants_by_index.sort_unstable_by_key(|(index, ..)| *index);
    let mut grants: Vec<Grant> = Vec::with_capacity(grants_by_index.len());
    for (index, connection, kind, text) in grants_by_index {
        let known = compiled.connection_at(connection).ok_or(index)?;
        let text = text.map(|text| compiled.text(text).whole());
        let text = match kind {
            GrantKind::Resource | GrantKind::Pattern => {
                text.map(|bytes| NameDisplay { bytes: (*bytes).into(), dialect: known.dialect() }.to_string())
            }
            GrantKind::Query | GrantKind::NamedSource => {
                text.map(|bytes| String::from_utf8(bytes.into_owned()).map_err(|_| index)).transpose()?
            }
            GrantKind::All => None,
        };
        let source = GrantSource::typed(text.as_deref(), SourceType::of(kind), known.dialect(), limits);
        let grant = Grant::new(ConnectionId::new(connection), source.map_err(|_| index)?);
        // The missing indexes repeat an earlier grant: fill them with the first one.
        match grants.first().cloned() {
            Some(first) if index.saturating_sub(grants.len()) <= MAX_REPEATED => {
                grants.resize(index.max(grants.len()), first);
            }
            _ => {}
        }
        if index != grants.len() {
            return Err(index);
        }
        grants.push(grant);
    }
    Ok(grants.into())
}

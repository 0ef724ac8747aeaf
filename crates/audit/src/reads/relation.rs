//! Identifiers of a parsed query, and the tables that they name.

use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, Value, ValueWithSpan};

use super::Table;
use portcullis::model::GrantSource;
use portcullis::name::{Dialect, Name};
use portcullis::pattern::Pattern;

/// The segments of a full name, where a query may leave out the first of them.
const FULL: usize = 3;

/// The table that `name` stands for; `None` where it is not one that a grant could name.
pub(super) fn table(name: &ObjectName, dialect: Dialect) -> Option<Table> {
    let text = text(name, dialect)?;
    let wildcard = dialect == Dialect::BigQuery && text.contains('*');
    let named = if wildcard {
        GrantSource::Pattern(Pattern::parse(&text.replace('`', ""), dialect).ok()?)
    } else {
        GrantSource::Resource(Name::parse(&text, dialect).ok()?)
    };
    let segments = match &named {
        GrantSource::Resource(name) => name.segments().len(),
        _ => text.split('.').count(),
    };
    let missing = (1..FULL.saturating_sub(segments).saturating_add(1)).filter_map(|missing| {
        let text = format!("{}{}", "*.".repeat(missing), named.display(dialect));
        Pattern::parse(&text, dialect).ok().map(GrantSource::Pattern)
    });
    let sources = std::iter::once(named.clone()).chain(missing).collect();
    Some(Table { named, sources })
}

/// A name as the dialect writes it; `None` where a part of it is known only when the query runs.
fn text(name: &ObjectName, dialect: Dialect) -> Option<String> {
    if let [ObjectNamePart::Function(function)] = name.0.as_slice() {
        return literal(&function.args);
    }
    let parts: Option<Vec<&Ident>> = name.0.iter().map(ObjectNamePart::as_ident).collect();
    let parts = parts?;
    if dialect == Dialect::BigQuery {
        // The dots before the first colon are its project's own (N2.6).
        let bare = parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".");
        if bare.split_once(':').is_some_and(|(domain, _)| domain.contains('.')) {
            return Some(bare);
        }
    }
    Some(parts.iter().map(|part| identifier(part, dialect)).collect::<Vec<_>>().join("."))
}

/// `IDENTIFIER('db.schema.table')`
fn literal(arguments: &[FunctionArg]) -> Option<String> {
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(ValueWithSpan { value, .. })))] = arguments else {
        return None;
    };
    match value {
        Value::SingleQuotedString(text) => Some(text.clone()),
        _ => None,
    }
}

/// An identifier as the dialect writes it.
pub(super) fn identifier(part: &Ident, dialect: Dialect) -> String {
    let Some(quote) = part.quote_style else { return part.value.clone() };
    if dialect == Dialect::BigQuery {
        return format!("{quote}{}{quote}", part.value);
    }
    format!("{quote}{}{quote}", part.value.replace(quote, &format!("{quote}{quote}")))
}

/// An identifier as it is compared with others of the query: two that are the same are one.
pub(super) fn folded(part: &Ident, dialect: Dialect) -> String {
    let text = identifier(part, dialect);
    let canonical = Name::parse(&text, dialect).map_or(text, |name| name.segments().collect::<Vec<_>>().join("."));
    // Aliases are, though tables are not.
    if dialect == Dialect::BigQuery { canonical.to_lowercase() } else { canonical }
}

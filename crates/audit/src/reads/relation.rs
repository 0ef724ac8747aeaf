//! Converts identifiers of a parsed query to tables.

use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, Value, ValueWithSpan};

use super::Table;
use portcullis::model::GrantSource;
use portcullis::name::{Dialect, Name};
use portcullis::pattern::Pattern;

/// Returns the number of segments of a full name, if a query may omit the first of them.
const FULL: usize = 3;

/// Returns the table that `name` refers to; `None` if no grant can name it.
pub(super) fn table(name: &ObjectName, dialect: Dialect) -> Option<Table> {
    let text = text(name, dialect)?;
    let text = if dialect == Dialect::Databricks { without_version(text) } else { text };
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

/// Returns the name as the dialect writes it; `None` if a part is known only at run time.
fn text(name: &ObjectName, dialect: Dialect) -> Option<String> {
    if let [ObjectNamePart::Function(function)] = name.0.as_slice() {
        return literal(&function.args);
    }
    let parts: Option<Vec<&Ident>> = name.0.iter().map(ObjectNamePart::as_ident).collect();
    let parts = parts?;
    if dialect == Dialect::BigQuery {
        // Dots before the first colon belong to the project (N2.6).
        let bare = parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".");
        if bare.split_once(':').is_some_and(|(domain, _)| domain.contains('.')) {
            return Some(bare);
        }
    }
    if dialect == Dialect::Snowflake
        && let [database, schema, table] = parts.as_slice()
        && schema.quote_style.is_none()
        && schema.value.is_empty()
    {
        return Some(format!("{}.PUBLIC.{}", identifier(database, dialect), identifier(table, dialect)));
    }
    Some(parts.iter().map(|part| identifier(part, dialect)).collect::<Vec<_>>().join("."))
}

/// Returns a name of Databricks without the version after it: `people@v1`, or a time of 17 digits.
fn without_version(name: String) -> String {
    let (bare, quote) = name.strip_suffix('`').map_or((name.as_str(), ""), |bare| (bare, "`"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match bare.rsplit_once('@') {
        Some((table, version))
            if version.strip_prefix(['v', 'V']).is_some_and(is_number)
                || (version.len() == 17 && is_number(version)) =>
        {
            format!("{table}{quote}")
        }
        _ => name,
    }
}

/// Returns the name in `IDENTIFIER('db.schema.table')`.
fn literal(arguments: &[FunctionArg]) -> Option<String> {
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(ValueWithSpan { value, .. })))] = arguments else {
        return None;
    };
    match value {
        Value::SingleQuotedString(text) => Some(text.clone()),
        _ => None,
    }
}

/// Returns an identifier as the dialect writes it.
pub(super) fn identifier(part: &Ident, dialect: Dialect) -> String {
    let Some(quote) = part.quote_style else { return part.value.clone() };
    if dialect == Dialect::BigQuery {
        return format!("{quote}{}{quote}", part.value);
    }
    format!("{quote}{}{quote}", part.value.replace(quote, &format!("{quote}{quote}")))
}

/// Returns the form of an identifier that is equal for equal identifiers of a query.
pub(super) fn folded(part: &Ident, dialect: Dialect) -> String {
    let text = identifier(part, dialect);
    let canonical = Name::parse(&text, dialect).map_or(text, |name| name.segments().collect::<Vec<_>>().join("."));
    // Aliases ignore case here, although table names do not.
    if dialect == Dialect::BigQuery { canonical.to_lowercase() } else { canonical }
}

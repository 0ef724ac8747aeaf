//! The name of a row: complete, or in parts.

use portcullis::name::{Dialect, Fold};

/// The name of a resource, as a catalog writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenName<'a> {
    /// A complete name in the dialect of the connection.
    Whole(&'a str),
    /// The parts of a name as in `INFORMATION_SCHEMA.TABLES`: neither quoted nor to be folded.
    Parts {
        /// `table_catalog`, if present and not empty.
        catalog: Option<&'a str>,
        /// `table_schema`.
        schema: &'a str,
        /// `table_name`.
        table: &'a str,
        /// Whether a tool will write the parts without quotes where the dialect folds bare names to upper case. `dbt`
        /// does.
        unquoted: bool,
    },
}

impl WrittenName<'_> {
    /// Appends the name to `text` in `dialect`, with quotes where required. Linear in the length of the name.
    ///
    /// Parts that no name of the dialect can have, such as an inner dot in BigQuery, become a malformed name.
    pub fn write(self, dialect: Dialect, text: &mut String) {
        match self {
            Self::Whole(name) => match project_with_dot(name, dialect) {
                Some(name) => text.push_str(&name),
                None => text.push_str(name),
            },
            Self::Parts { catalog, schema, table, unquoted } => {
                let parts = catalog.into_iter().chain([schema, table]);
                let is_bare = unquoted && dialect.bare_fold().apply_ascii(b'a') == b'A';
                let mut first = None;
                for part in parts {
                    if first.is_some() {
                        text.push('.');
                    }
                    if is_bare && !part.is_empty() && part.bytes().all(is_plain) {
                        text.push_str(part);
                    } else {
                        write_part(part, first, dialect, text);
                    }
                    first = first.or(Some(part));
                }
            }
        }
    }
}

/// Returns `project:dataset.table` of BigQuery, which `bq ls` prints, as `project.dataset.table`; `None` for another name.
///
/// The colon in `example.com:project.dataset.table` belongs to the project, as domains have dots.
///
/// ```
/// use portcullis::name::Dialect;
/// use portcullis_audit::catalog::project_with_dot;
///
/// assert_eq!(project_with_dot("p:ds.people", Dialect::BigQuery).as_deref(), Some("p.ds.people"));
/// assert_eq!(project_with_dot("p.ds.people", Dialect::BigQuery), None);
/// ```
pub fn project_with_dot(name: &str, dialect: Dialect) -> Option<String> {
    let (project, rest) = name.rsplit_once(':').filter(|_| dialect == Dialect::BigQuery)?;
    let is_domain = project.contains('.') && !project.contains(':');
    let is_table = rest.split('.').count() == 2;
    (is_table && !is_domain).then(|| format!("{project}.{rest}"))
}

/// Appends `part`; `first` is the first part of the name, or `None` if `part` is the first.
fn write_part(part: &str, first: Option<&str>, dialect: Dialect, text: &mut String) {
    let fold = dialect.bare_fold();
    let as_it_stands = |byte: u8| is_plain(byte) && unfolded(byte, fold);
    if !part.is_empty() && part.bytes().all(as_it_stands) {
        return text.push_str(part);
    }
    let quote = dialect.quote();
    // BigQuery's quotes keep a dot in its part only before the colon of a project (N2.6), and only a project holds one.
    // Two quotes side by side, two dots or a backslash make the name malformed.
    let bigquery = dialect == Dialect::BigQuery;
    let inner = if first.is_none() { part.split_once(':').map_or(part, |(_, rest)| rest) } else { part };
    let dots = bigquery && inner.contains('.');
    let colons = bigquery && first.is_some_and(|first| !first.contains(':'));
    text.push(quote);
    for character in part.chars() {
        match character {
            '.' if dots => text.push('.'),
            ':' if colons => text.push('\\'),
            _ if character == quote => text.push(quote),
            _ => {}
        }
        text.push(character);
    }
    text.push(quote);
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn unfolded(byte: u8, fold: Fold) -> bool {
    fold.apply_ascii(byte) == byte
}

#[cfg(test)]
mod tests {
    use super::{Dialect, project_with_dot};

    #[test]
    fn colon_after_a_project_is_a_dot_and_a_colon_after_a_domain_is_not() {
        for (name, expected) in [
            ("p:ds.people", Some("p.ds.people")),
            ("my-project:ds.people", Some("my-project.ds.people")),
            ("`p:ds.people`", Some("`p.ds.people`")),
            ("example.com:p:ds.people", Some("example.com:p.ds.people")),
            ("example.com:p.ds.people", None),
            ("example.com:p.ds", None),
            ("p.ds.people", None),
            ("p:people", None),
        ] {
            assert_eq!(project_with_dot(name, Dialect::BigQuery).as_deref(), expected, "{name}");
            assert_eq!(project_with_dot(name, Dialect::Generic), None, "{name}");
        }
    }
}

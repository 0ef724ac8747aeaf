//! The catalog as the source picker shows it: a tree, and names that contain a text.

use portcullis::name::Dialect;

use crate::catalog::Catalog;

/// The names of one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'c> {
    catalog: &'c Catalog,
    connection: &'c str,
    dialect: Dialect,
}

/// A step of the tree.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(super) struct Branch {
    /// The text up to and with this step.
    pub(super) path: String,
    /// The last part of the path.
    pub(super) label: String,
    /// The number of names below; 0 for a name.
    pub(super) names: u64,
}

impl<'c> Names<'c> {
    /// Returns the names of a connection.
    pub(super) fn new(catalog: &'c Catalog, connection: &'c str, dialect: Dialect) -> Self {
        Self { catalog, connection, dialect }
    }

    /// Returns the connection.
    pub(super) fn connection(self) -> &'c str {
        self.connection
    }

    /// Returns the number of names.
    pub(super) fn count(self) -> u64 {
        self.catalog.range(self.connection).len() as u64
    }

    /// Returns every name, sorted.
    pub(super) fn iter(self) -> impl Iterator<Item = &'c str> {
        self.catalog.range(self.connection).map(move |index| self.catalog.name(index))
    }

    /// Returns at most `limit` names that contain `text`, without regard to the case of ASCII letters. Names with a part
    /// that starts with the text come first.
    pub(super) fn search(self, text: &str, limit: usize) -> Vec<&'c str> {
        if text.contains('\n') {
            return Vec::new();
        }
        let find = |text: &str| self.catalog.find(Some(self.connection), text, None, limit);
        let mut found: Vec<&str> = find(&format!(".{text}")).into_iter().map(|it| it.name).collect();
        for other in find(text) {
            if found.len() < limit && !found.contains(&other.name) {
                found.push(other.name);
            }
        }
        found
    }

    /// Returns at most `limit` steps below `path`, which is empty or ends with a dot, after the step `after`.
    pub(super) fn below(self, path: &str, after: Option<&str>, limit: usize) -> Vec<Branch> {
        let range = self.catalog.range(self.connection);
        let mut at = self.first(|name| name < path);
        if let Some(after) = after {
            at = at.max(self.end(after));
        }
        let mut found = Vec::new();
        while found.len() < limit && at < range.end {
            let name = self.catalog.name(at);
            let Some(rest) = name.strip_prefix(path) else { break };
            let end = part_end(rest, self.dialect);
            let label = rest.get(..end).unwrap_or(rest).to_owned();
            if end == rest.len() {
                found.push(Branch { path: name.to_owned(), label, names: 0 });
                at += 1;
            } else {
                let path = format!("{path}{label}.");
                let next = self.end(&path);
                found.push(Branch { names: next.saturating_sub(at) as u64, path, label });
                at = next.max(at + 1);
            }
        }
        found
    }

    /// Returns the index after the last name that is `path`, or starts with it if it ends with a dot.
    fn end(self, path: &str) -> usize {
        self.first(|name| name <= path || (path.ends_with('.') && name.starts_with(path)))
    }

    /// Returns the first index whose name is not `before`, which holds for the names up to one of them.
    fn first(self, before: impl Fn(&str) -> bool) -> usize {
        let range = self.catalog.range(self.connection);
        let (mut first, mut last) = (range.start, range.end);
        while first < last {
            let middle = first.midpoint(last);
            if before(self.catalog.name(middle)) {
                first = middle + 1;
            } else {
                last = middle;
            }
        }
        first
    }
}

/// Returns the length of the first part of a name as the dialect writes it: up to a dot that is not quoted.
fn part_end(name: &str, dialect: Dialect) -> usize {
    let quote = dialect.quote();
    let mut is_quoted = false;
    for (at, character) in name.char_indices() {
        if character == quote {
            is_quoted = !is_quoted;
        } else if character == '.' && !is_quoted {
            return at;
        }
    }
    name.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn catalog(list: &[&str]) -> Catalog {
        let others = [("a", "a.s.other"), ("z", "a.s.other")];
        let names = list.iter().map(|name| ("dw", *name)).chain(others);
        Catalog::new(names.map(|(connection, name)| (connection.to_owned(), name.to_owned())).collect()).unwrap()
    }

    fn names(catalog: &Catalog) -> Names<'_> {
        Names::new(catalog, "dw", Dialect::BigQuery)
    }

    #[test]
    fn search_prefers_the_starts_of_parts() {
        let catalog = catalog(&["a.b.crossroads", "a.b.roads", "a.b.Roads_2", "a.b.xroads", "a.b.roads"]);
        let names = names(&catalog);
        assert_eq!(names.search("ROADS", 9), ["a.b.Roads_2", "a.b.roads", "a.b.crossroads", "a.b.xroads"]);
        assert_eq!(names.search("ROADS", 2), ["a.b.Roads_2", "a.b.roads"]);
        assert_eq!(names.search("b.road", 9), ["a.b.Roads_2", "a.b.roads"]);
        for nothing in ["zz", "roads\na", "\u{202e}", "roads_2a", "other"] {
            assert!(names.search(nothing, 9).is_empty(), "{nothing:?}");
        }
        assert_eq!((names.count(), names.iter().count()), (4, 4));
    }

    #[test]
    fn tree_has_each_name_once_however_it_is_quoted() {
        let catalog = catalog(&["a-b.s.t", "a.`x.y`.t", "a.s.t1", "a.s.t2", "a.s2.t", "b.s.t"]);
        let all = names(&catalog);
        let labels = |path: &str, after: Option<&str>| -> Vec<(String, u64)> {
            all.below(path, after, 10).into_iter().map(|branch| (branch.label, branch.names)).collect()
        };
        let step = |label: &str, names| (label.to_owned(), names);
        assert_eq!(labels("", None), [step("a-b", 1), step("a", 4), step("b", 1)]);
        assert_eq!(labels("a.", None), [step("`x.y`", 1), step("s", 2), step("s2", 1)]);
        assert_eq!(labels("a.s.", None), [step("t1", 0), step("t2", 0)]);
        assert_eq!(labels("a.", Some("a.s.")), [step("s2", 1)]);
        assert_eq!(labels("a.s.", Some("a.s.t1")), [step("t2", 0)]);
        assert_eq!(labels("zz.", None), []);
        assert_eq!(Names::new(&catalog, "none", Dialect::BigQuery).below("", None, 10), []);
    }

    /// Other programs use the machine, too: one round of several has to be fast.
    #[test]
    fn search_of_a_million_names_takes_under_100_ms() {
        const ROUNDS: usize = 5;
        let list: Vec<String> =
            (0..1_000_000).map(|at| format!("proj{}.schema_{}.table_{at}", at % 7, at % 900)).collect();
        let catalog = catalog(&list.iter().map(String::as_str).collect::<Vec<_>>());
        let names = names(&catalog);
        let texts =
            ["table_9999", "nothing_has_this", "schema_42", "t", "9", "proj3.schema_1", "TABLE_123456", "le_77"];
        let time = |at: usize| {
            let begun = Instant::now();
            assert!(names.search(texts[at % texts.len()], 100).len() <= 100);
            assert!(names.below("proj3.", None, 100).len() <= 100);
            begun.elapsed()
        };
        let is_fast = |_| {
            let mut times: Vec<_> = (0..40).map(time).collect();
            times.sort();
            times[37] < Duration::from_millis(100)
        };
        assert!((0..ROUNDS).any(is_fast), "the 95th percentile of each round takes longer");
    }
}

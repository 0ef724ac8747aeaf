//! The names of a warehouse, for callers that look for a source to grant.

use memchr::memmem::Finder;

/// Names of resources, each on a connection, in memory.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    connections: Vec<String>,
    /// The names as written, each after a line break; sorted by connection and name.
    text: String,
    /// `text` in lower case: offsets are equal, because only ASCII letters change.
    lower: String,
    /// The connection and the offset in `text` of each name.
    names: Vec<(u32, u32)>,
}

/// A name on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogName<'c> {
    /// The connection.
    pub connection: &'c str,
    /// The name as written.
    pub name: &'c str,
}

impl Catalog {
    /// The maximum number of bytes of all names.
    pub const MAX_BYTES: usize = u32::MAX as usize;

    /// Creates a catalog of pairs of a connection and a name, without duplicates. `None` if they are too large.
    pub fn new(mut names: Vec<(String, String)>) -> Option<Self> {
        names.sort_unstable();
        names.dedup();
        let mut catalog = Self::default();
        for (connection, name) in names {
            if catalog.connections.last() != Some(&connection) {
                catalog.connections.push(connection);
            }
            catalog.text.push('\n');
            let offset = u32::try_from(catalog.text.len()).ok()?;
            catalog.names.push((u32::try_from(catalog.connections.len() - 1).ok()?, offset));
            catalog.text.push_str(&name.replace('\n', " "));
        }
        u32::try_from(catalog.text.len()).ok()?;
        catalog.lower = catalog.text.to_ascii_lowercase();
        Some(catalog)
    }

    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns the indexes of the names on a connection, sorted by name.
    pub fn range(&self, connection: &str) -> std::ops::Range<usize> {
        let first = self.names.partition_point(|(known, _)| self.connection(*known) < connection);
        first..self.names.partition_point(|(known, _)| self.connection(*known) <= connection)
    }

    /// Returns the name with this index; empty if there is none.
    pub fn name(&self, index: usize) -> &str {
        self.get(index).map_or("", |it| it.name)
    }

    /// Returns the connections, sorted.
    pub fn connections(&self) -> &[String] {
        &self.connections
    }

    /// Returns the names after `after` that contain `search`, without regard to the case of ASCII letters, at most `limit`.
    pub fn find(
        &self,
        connection: Option<&str>,
        search: &str,
        after: Option<CatalogName<'_>>,
        limit: usize,
    ) -> Vec<CatalogName<'_>> {
        let (mut first, mut end) = (0, self.names.len());
        if let Some(connection) = connection {
            first = self.names.partition_point(|(known, _)| self.connection(*known) < connection);
            end = self.names.partition_point(|(known, _)| self.connection(*known) <= connection);
        }
        if let Some(after) = after {
            let key = (after.connection, after.name);
            let mut last = end;
            while first < last {
                let middle = first.midpoint(last);
                if self.get(middle).is_some_and(|it| (it.connection, it.name) <= key) {
                    first = middle + 1;
                } else {
                    last = middle;
                }
            }
        }
        // No name has a line break: it separates them.
        if search.contains('\n') {
            return Vec::new();
        }
        let search = search.to_ascii_lowercase();
        let finder = Finder::new(search.as_bytes());
        let mut found = Vec::new();
        while first < end && found.len() < limit {
            let Some((_, offset)) = self.names.get(first) else { break };
            let from = *offset as usize;
            let to = self.names.get(end).map_or(self.lower.len(), |(_, offset)| (*offset as usize).saturating_sub(1));
            let Some(at) = self.lower.as_bytes().get(from..to).and_then(|text| finder.find(text)) else { break };
            let position = u32::try_from(from + at).unwrap_or(u32::MAX);
            let index = self.names.partition_point(|(_, offset)| *offset <= position).saturating_sub(1);
            found.extend(self.get(index));
            first = index + 1;
        }
        found
    }

    fn connection(&self, index: u32) -> &str {
        self.connections.get(index as usize).map_or("", |name| name)
    }

    fn get(&self, index: usize) -> Option<CatalogName<'_>> {
        let (connection, offset) = *self.names.get(index)?;
        let end = self.names.get(index + 1).map_or(self.text.len(), |(_, next)| (*next as usize).saturating_sub(1));
        let name = self.text.get(offset as usize..end)?;
        Some(CatalogName { connection: self.connection(connection), name })
    }
}

#[cfg(test)]
mod tests {
    use super::{Catalog, CatalogName};

    fn catalog(names: &[(&str, &str)]) -> Catalog {
        Catalog::new(names.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()).unwrap()
    }

    #[test]
    fn names_are_found_as_a_plain_loop_finds_them() {
        let mut names =
            vec![("dw", "a.b.Roads"), ("dw", "a.b.roads_2"), ("other", "a.b.Roads"), ("dw", "x"), ("dw", "é.ROADS")];
        names.push(("dw", "x"));
        let catalog = catalog(&names);
        assert_eq!(catalog.len(), 5);
        assert_eq!(catalog.connections(), ["dw", "other"]);
        names.sort_unstable();
        names.dedup();
        for search in ["", "r", "roads", "ROADS", "a.b", "b.r", "é", "nothing", "\n", "s\na"] {
            for connection in [None, Some("dw"), Some("other"), Some("none"), Some("")] {
                let want: Vec<_> = names
                    .iter()
                    .filter(|(dw, _)| connection.is_none_or(|connection| connection == *dw))
                    .filter(|(_, name)| name.to_ascii_lowercase().contains(&search.to_ascii_lowercase()))
                    .map(|(connection, name)| CatalogName { connection, name })
                    .collect();
                assert_eq!(catalog.find(connection, search, None, 100), want, "{connection:?} {search:?}");
                // Page by page.
                let (mut paged, mut after) = (Vec::new(), None);
                while let [name] = catalog.find(connection, search, after, 1)[..] {
                    paged.push(name);
                    after = Some(name);
                }
                assert_eq!(paged, want, "{connection:?} {search:?}");
            }
        }
        let gone = CatalogName { connection: "dw", name: "b" };
        assert_eq!(catalog.find(None, "", Some(gone), 1)[0].name, "x", "a position that is not a name any more");
        assert!(Catalog::default().find(None, "", None, 10).is_empty());
    }
}

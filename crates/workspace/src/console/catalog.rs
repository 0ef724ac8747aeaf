//! The names of the warehouse, from `--catalog` files: read once, and searched on every keystroke.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::StatusCode;
use memchr::memmem::Finder;
use portcullis::base::quoted;
use portcullis::name::{Dialect, Name};
use portcullis_audit::catalog::read_file;
use portcullis_registry::record::Connection;
use tokio::sync::Mutex;

use crate::problem::Problem;

/// The catalog of a workspace.
pub(crate) struct Catalog {
    files: Vec<PathBuf>,
    /// The names, and the connections whose dialects they were read in.
    loaded: Mutex<Option<(Vec<Connection>, Arc<Loaded>)>>,
}

/// The names of all files.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// By connection.
    names: BTreeMap<String, Names>,
    /// The rows on connections that the registry does not have, and one such connection.
    pub(super) unknown: (u64, String),
    /// The rows that cannot be read, and why one of them cannot.
    pub(super) broken: (u64, String),
}

/// The names of one connection, sorted.
#[derive(Debug, Default)]
pub(super) struct Names {
    dialect: Dialect,
    sorted: Vec<Box<str>>,
    /// The names in lower case, each followed by a line feed, which no shown name has.
    lower: String,
    /// The offset of each name in `lower`.
    starts: Vec<u32>,
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

impl Catalog {
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        Self { files, loaded: Mutex::new(None) }
    }

    /// Whether the workspace has a catalog.
    pub(super) fn is_given(&self) -> bool {
        !self.files.is_empty()
    }

    /// Returns the name of each file, without its folders.
    pub(super) fn titles(&self) -> String {
        let names = self.files.iter().map(|file| file_name(file));
        names.collect::<Vec<_>>().join(", ")
    }

    /// Returns the names. Reads the files on the first call, and again after connections were changed.
    pub(super) async fn names(&self, connections: Vec<Connection>) -> Result<Arc<Loaded>, Problem> {
        let mut loaded = self.loaded.lock().await;
        if let Some((known, names)) = &*loaded
            && *known == connections
        {
            return Ok(Arc::clone(names));
        }
        let (files, known) = (self.files.clone(), connections.clone());
        let read = tokio::task::spawn_blocking(move || load(&files, &known));
        let names = Arc::new(read.await.map_err(|_| Problem::internal())??);
        *loaded = Some((connections, Arc::clone(&names)));
        Ok(names)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn load(files: &[PathBuf], connections: &[Connection]) -> Result<Loaded, Problem> {
    let mut loaded = Loaded::default();
    for file in files {
        let failed = |why: String| {
            let message = format!("the catalog {} cannot be read: {why}", quoted(&file_name(file)));
            let help = "correct the file that `--catalog` names, and reload the page";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "catalog_unavailable", message, help)
        };
        let open = File::open(file).map_err(|error| failed(error.kind().to_string()))?;
        let mut text = String::new();
        let see = |row: Result<portcullis_audit::catalog::Row<'_>, portcullis_audit::catalog::Broken>| {
            let row = match row {
                Ok(row) => row,
                Err(broken) => {
                    loaded.breaks(broken.why);
                    return ControlFlow::Continue(());
                }
            };
            // A file without connections is of the only one.
            let only = connections.first().filter(|_| connections.len() == 1);
            let connection = row.connection.or_else(|| only.map(|only| &*only.name)).unwrap_or_default();
            let Some(known) = connections.iter().find(|known| known.name == connection) else {
                loaded.unknown.0 += 1;
                if loaded.unknown.1.is_empty() {
                    connection.clone_into(&mut loaded.unknown.1);
                }
                return ControlFlow::Continue(());
            };
            text.clear();
            row.name.write(known.dialect, &mut text);
            match Name::parse(&text, known.dialect) {
                Ok(name) => loaded.add(known, name.display(known.dialect).to_string()),
                Err(_) => loaded.breaks(format!("{} is not a name", quoted(&text))),
            }
            ControlFlow::Continue(())
        };
        read_file(open, |_| {}, see).map_err(|error| failed(error.to_string()))?;
    }
    loaded.names.values_mut().for_each(Names::index);
    Ok(loaded)
}

impl Loaded {
    fn add(&mut self, connection: &Connection, name: String) {
        let names = self.names.entry(connection.name.clone()).or_default();
        names.dialect = connection.dialect;
        names.sorted.push(name.into_boxed_str());
    }

    fn breaks(&mut self, why: String) {
        self.broken.0 += 1;
        if self.broken.1.is_empty() {
            self.broken.1 = why;
        }
    }

    /// Returns the names of a connection.
    pub(super) fn of(&self, connection: &str) -> Option<&Names> {
        self.names.get(connection)
    }

    /// Returns each connection that has names.
    pub(super) fn connections(&self) -> impl Iterator<Item = (&str, &Names)> {
        self.names.iter().map(|(connection, names)| (connection.as_str(), names))
    }
}

impl Names {
    fn index(&mut self) {
        self.sorted.sort_unstable();
        self.sorted.dedup();
        for name in &self.sorted {
            self.starts.push(u32::try_from(self.lower.len()).unwrap_or(u32::MAX));
            self.lower.push_str(name);
            self.lower.push('\n');
        }
        self.lower.make_ascii_lowercase();
    }

    /// Returns every name, sorted, as the dialect of the connection writes it.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.sorted.iter().map(|name| &**name)
    }

    /// Returns at most `limit` names that contain `text`, without regard to the case of ASCII letters. Names with a part
    /// that starts with the text come first.
    pub(super) fn search(&self, text: &str, limit: usize) -> Vec<&str> {
        let wanted = text.trim().to_ascii_lowercase();
        if wanted.is_empty() || wanted.contains('\n') {
            return self.iter().take(limit).collect();
        }
        let finder = Finder::new(&wanted);
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        let mut at = 0;
        while let Some(found) = self.lower.as_bytes().get(at..).and_then(|text| finder.find(text)) {
            let offset = at + found;
            let index = self.starts.partition_point(|start| *start as usize <= offset).saturating_sub(1);
            let start = self.starts.get(index).map_or(0, |start| *start as usize);
            let end = self.starts.get(index + 1).map_or(self.lower.len(), |start| *start as usize);
            let line = self.lower.get(start..end).unwrap_or_default();
            let Some(name) = self.sorted.get(index) else { break };
            let is_start = line.match_indices(&wanted).any(|(at, _)| {
                let before = at.checked_sub(1).and_then(|at| line.as_bytes().get(at));
                before.is_none_or(|before| matches!(before, b'.' | b'`' | b'"' | b'[' | b'_'))
            });
            let list = if is_start { &mut first } else { &mut rest };
            if list.len() < limit {
                list.push(&**name);
            }
            if first.len() == limit {
                break;
            }
            at = end;
        }
        first.into_iter().chain(rest).take(limit).collect()
    }

    /// Returns at most `limit` steps below `path`, which is empty or ends with a dot, after the step `after`.
    pub(super) fn below(&self, path: &str, after: Option<&str>, limit: usize) -> Vec<Branch> {
        let mut at = self.sorted.partition_point(|name| &**name < path);
        if let Some(after) = after {
            at = at.max(self.end(after));
        }
        let mut found = Vec::new();
        while found.len() < limit {
            let Some(name) = self.sorted.get(at) else { break };
            let Some(rest) = name.strip_prefix(path) else { break };
            let end = part_end(rest, self.dialect);
            let label = rest.get(..end).unwrap_or(rest).to_owned();
            if end == rest.len() {
                found.push(Branch { path: name.to_string(), label, names: 0 });
                at += 1;
            } else {
                let path = format!("{path}{label}.");
                let next = self.end(&path);
                found.push(Branch { names: (next - at) as u64, path, label });
                at = next;
            }
        }
        found
    }

    /// Returns the index after the last name that is `path`, or starts with it if it ends with a dot.
    fn end(&self, path: &str) -> usize {
        self.sorted.partition_point(|name| &**name <= path || (path.ends_with('.') && name.starts_with(path)))
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
    use std::time::Instant;

    fn names(list: &[&str]) -> Names {
        let mut names = Names { dialect: Dialect::BigQuery, ..Names::default() };
        names.sorted = list.iter().map(|name| Box::from(*name)).collect();
        names.index();
        names
    }

    #[test]
    fn search_prefers_the_starts_of_parts() {
        let names = names(&["a.b.crossroads", "a.b.roads", "a.b.Roads_2", "a.b.xroads", "a.b.x_roads", "a.b.roads"]);
        assert_eq!(
            names.search("ROADS", 9),
            ["a.b.Roads_2", "a.b.roads", "a.b.x_roads", "a.b.crossroads", "a.b.xroads"]
        );
        assert_eq!(names.search("ROADS", 2), ["a.b.Roads_2", "a.b.roads"]);
        assert_eq!(names.search("b.road", 9), ["a.b.Roads_2", "a.b.roads"]);
        for nothing in ["zz", "roads\na", "\u{202e}", "roads_2a"] {
            assert_eq!(names.search(nothing, 9).len(), if nothing.contains('\n') { 5 } else { 0 }, "{nothing:?}");
        }
        assert_eq!(names.search(" ", 2).len(), 2);
    }

    #[test]
    fn tree_has_each_name_once_however_it_is_quoted() {
        let all = names(&["a-b.s.t", "a.`x.y`.t", "a.s.t1", "a.s.t2", "a.s2.t", "b.s.t"]);
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
    }

    /// Prints the 95th percentile of searches in a million names.
    #[test]
    #[ignore = "a measurement"]
    fn search_of_a_million_names() {
        let list: Vec<String> =
            (0..1_000_000).map(|at| format!("proj{}.schema_{}.table_{at}", at % 7, at % 900)).collect();
        let names = names(&list.iter().map(String::as_str).collect::<Vec<_>>());
        let texts =
            ["table_9999", "nothing_has_this", "schema_42", "t", "9", "proj3.schema_1", "TABLE_123456", "le_77"];
        let mut times: Vec<_> = (0..200)
            .map(|at| {
                let begun = Instant::now();
                assert!(names.search(texts[at % texts.len()], 50).len() <= 50);
                assert!(names.below("proj3.", None, 200).len() <= 200);
                begun.elapsed()
            })
            .collect();
        times.sort();
        println!("p50 {:?}, p95 {:?}, max {:?}", times[100], times[190], times[199]);
    }
}

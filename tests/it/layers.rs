//! The layer rule: every module imports only what stands below it, and no two modules import each other.
//!
//! The rule is the table; the test reads every `crate::` path (and every path of `use super::…` that leaves its module)
//! under `src/` and compares. Tests inside `src/` may look anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module, and what it may import.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("owner_only", &[]),
    ("name", &["base"]),
    ("pattern", &["base", "name"]),
    ("query", &["base"]),
    ("referer", &["base"]),
    ("definition", &["base"]),
    ("model", &["base", "name", "pattern", "query", "referer"]),
    // The one place of the model that knows how a document is written.
    ("model/lower", &["base", "name", "pattern", "query", "referer", "definition"]),
    ("snapshot", &["base", "name", "pattern", "query", "referer", "model"]),
    ("decision", &["base", "name", "pattern", "query", "referer", "model", "snapshot"]),
    // The oracle: over the model, never over what was compiled from it.
    ("reference", &["base", "name", "pattern", "query", "referer", "model", "decision"]),
    ("authorizer", &["base", "model", "snapshot", "decision"]),
    ("explain", &["base", "name", "pattern", "query", "referer", "model", "snapshot", "decision"]),
    (
        "audit",
        &[
            "authorizer",
            "base",
            "decision",
            "definition",
            "load",
            "model",
            "name",
            "pattern",
            "query",
            "referer",
            "snapshot",
            "wire",
        ],
    ),
    ("gateway", &["base", "query", "decision", "model"]),
    ("answer", &["decision"]),
    // Not the server: an embedder builds without it.
    ("tower", &["answer", "authorizer", "decision", "gateway"]),
    ("wire", &["base", "query", "definition", "model", "decision", "explain"]),
    ("load", &["base", "name", "pattern", "query", "referer", "definition", "model", "snapshot"]),
    ("registry", &["base", "name", "query", "definition", "model", "load", "owner_only"]),
    (
        "server",
        &[
            "audit",
            "answer",
            "authorizer",
            "base",
            "decision",
            "explain",
            "gateway",
            "load",
            "model",
            "owner_only",
            "query",
            "referer",
            "registry",
            "snapshot",
            "wire",
        ],
    ),
    (
        "cli",
        &[
            "audit",
            "authorizer",
            "base",
            "decision",
            "definition",
            "explain",
            "gateway",
            "load",
            "model",
            "snapshot",
            "wire",
        ],
    ),
    // The tour.
    ("lib", &["authorizer", "base", "decision", "explain", "load", "model", "snapshot"]),
];

/// Crates that only one module may name.
const ONLY: &[(&str, &[&str])] = &[
    ("arc_swap", &["authorizer"]),
    ("dashmap", &["authorizer"]),
    ("anyhow", &["cli"]),
    ("clap", &["cli"]),
    ("miette", &["cli"]),
    (
        "serde_json",
        &["answer", "audit", "cli", "definition", "explain", "gateway", "load", "registry", "server", "wire"],
    ),
    ("base64", &["audit"]),
    ("arrow_array", &["audit"]),
    ("arrow_buffer", &["audit"]),
    ("arrow_schema", &["audit"]),
    ("flate2", &["audit"]),
    ("maud", &["audit"]),
    ("parquet", &["audit"]),
    ("psl", &["audit"]),
    ("sqlparser", &["audit"]),
    ("unicode_security", &["audit"]),
    ("zstd", &["audit"]),
    ("notify", &["server"]),
    ("prometheus_client", &["server"]),
    ("tracing", &["cli", "server"]),
    ("tracing_subscriber", &["cli"]),
    ("axum", &["server"]),
    ("hyper", &["server"]),
    ("hyper_util", &["server"]),
    ("http_body_util", &["answer", "tower"]),
    ("percent_encoding", &["answer", "audit"]),
    ("tower_layer", &["tower"]),
    ("tower_service", &["tower"]),
    ("tonic", &["server"]),
    ("envoy_types", &["server"]),
    ("rustls", &["server"]),
    ("sqlx", &["registry"]),
    ("tokio", &["cli", "registry", "server"]),
    ("regex_automata", &["snapshot"]),
    ("rpds", &["authorizer", "snapshot"]),
    ("bytemuck", &["snapshot"]),
    ("postcard", &["snapshot"]),
    ("twox_hash", &["snapshot"]),
];

#[test]
fn every_import_runs_downhill() {
    let mut wrong = Vec::new();
    for (file, imports) in imports() {
        let module = module_of(&file);
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: module `{module}` is not in the table", file.display()));
            continue;
        };
        let own = module.split('/').next().unwrap_or_default();
        for import in imports {
            if import != own && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{}: `{module}` may not import `{import}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_two_modules_need_each_other() {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, imports) in imports() {
        let module = module_of(&file).split('/').next().unwrap_or_default().to_owned();
        edges.entry(module.clone()).or_default().extend(imports.into_iter().filter(|import| *import != module));
    }
    // Take away what imports nothing that is left, until nothing can be taken: what stays is a cycle.
    while let Some(free) = edges.iter().find(|(_, needs)| needs.iter().all(|need| !edges.contains_key(need))) {
        let free = free.0.clone();
        edges.remove(&free);
    }
    assert!(edges.is_empty(), "these modules import each other: {edges:?}");
}

#[test]
fn heavy_crates_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for file in sources() {
        let code = code_of(&file);
        for (name, modules) in ONLY {
            let module = module_of(&file);
            let own = module.split('/').next().unwrap_or_default();
            if code.contains(&format!("{name}::")) && !modules.contains(&own) {
                wrong.push(format!("{}: only {modules:?} may name `{name}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn imports() -> Vec<(PathBuf, BTreeSet<String>)> {
    sources().into_iter().map(|file| (file.clone(), paths(&code_of(&file)))).collect()
}

/// The first names behind `crate::`, groups included: `use crate::{base::Place, name::Name}`.
fn paths(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::").filter(|(at, _)| !code[..*at].ends_with('$')) {
        let behind = &code[at + "crate::".len()..];
        if let Some(group) = behind.strip_prefix('{') {
            let (mut depth, mut start) = (0, 0);
            for (at, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth > 0 => depth -= 1,
                    ',' | '}' if depth == 0 => {
                        found.insert(word(group[start..at].trim_start()));
                        start = at + 1;
                        if c == '}' {
                            break;
                        }
                    }
                    _ => {}
                }
            }
        } else {
            found.insert(word(behind));
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// The file's code: without comments, and without its tests.
fn code_of(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn module_of(file: &Path) -> String {
    let relative = file.strip_prefix(root()).unwrap().with_extension("");
    let mut parts: Vec<&str> = relative.iter().filter_map(|part| part.to_str()).collect();
    if parts == ["main"] {
        return "cli".to_owned();
    }
    let deep = parts.len() > 1 && LAYERS.iter().any(|(name, _)| *name == parts[..2].join("/"));
    parts.truncate(if deep { 2 } else { 1 });
    parts.join("/")
}

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.file_stem().is_some_and(|name| name == "tests");
            if path.is_dir() && !is_test {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 20, "found only {} files under src", files.len());
    files
}

fn root() -> PathBuf {
    crate::repository().join("src")
}

//! The structure of the source: the dependencies between crates, and the imports between files of a crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// Dependencies, each with the only crates that may use it.
const ONLY: &[(&str, &[&str])] = &[
    ("anyhow", &["portcullis-cli"]),
    ("arc-swap", &["portcullis"]),
    ("axum", &["portcullis-server", "portcullis-workspace"]),
    ("clap", &["portcullis-cli"]),
    ("hyper", &["portcullis-oidc", "portcullis-server"]),
    ("libc", &["portcullis-capi", "portcullis-envoy-abi"]),
    ("maud", &["portcullis-audit", "portcullis-workspace"]),
    ("openidconnect", &["portcullis-oidc"]),
    ("parquet", &["portcullis-audit"]),
    ("regex-automata", &["portcullis"]),
    ("rustls", &["portcullis-oidc", "portcullis-server"]),
    ("sqlparser", &["portcullis-audit"]),
    ("sqlx", &["portcullis-registry"]),
    ("ring", &["portcullis-oidc", "portcullis-workspace"]),
    (
        "tokio",
        &["portcullis-cli", "portcullis-oidc", "portcullis-registry", "portcullis-server", "portcullis-workspace"],
    ),
    ("tonic", &["portcullis-server"]),
    ("zstd", &["portcullis-document", "portcullis-scan"]),
];

/// The diagram omits the engine, on which every other crate depends.
#[test]
fn crate_diagram_matches_the_manifests() {
    let design = std::fs::read_to_string(crate::repository().join("docs/design.md")).unwrap();
    let diagram = design.split("```mermaid").nth(1).unwrap().split("```").next().unwrap();
    let drawn: BTreeSet<(String, String)> = diagram
        .lines()
        .filter_map(|line| line.trim().split_once(" --> "))
        .map(|(from, to)| (format!("portcullis-{from}"), format!("portcullis-{to}")))
        .collect();
    let crates = crates();
    let found = crates.iter().flat_map(|(name, found)| {
        let others = found.dependencies.iter().filter(|dependency| dependency.starts_with("portcullis-"));
        others.map(|dependency| (name.clone(), dependency.clone()))
    });
    assert_eq!(found.collect::<BTreeSet<_>>(), drawn);
    for (name, found) in &crates {
        let is_engine_used = !["portcullis", "portcullis-envoy-abi"].contains(&name.as_str());
        assert_eq!(found.dependencies.contains("portcullis"), is_engine_used, "{name}");
    }
}

#[test]
fn heavy_dependencies_are_used_only_by_their_crates() {
    for (name, found) in &crates() {
        for (dependency, allowed) in ONLY {
            let is_allowed = !found.dependencies.contains(*dependency) || allowed.contains(&name.as_str());
            assert!(is_allowed, "only {allowed:?} may depend on {dependency}, found it in {name}");
        }
    }
}

/// Pointers come from C and from Envoy only. Every other crate forbids `unsafe`.
#[test]
fn only_crates_at_the_border_may_use_unsafe() {
    for (name, found) in &crates() {
        let manifest =
            std::fs::read_to_string(found.root.parent().unwrap().parent().unwrap().join("Cargo.toml")).unwrap();
        let may = ["portcullis-capi", "portcullis-envoy-abi"].contains(&name.as_str());
        assert_eq!(manifest.contains("unsafe_code = \"allow\""), may, "{name}");
        // The lints of the workspace forbid it.
        assert_ne!(manifest.contains("[lints]\nworkspace = true"), may, "{name}");
    }
}

/// Imports between a module and the modules that it declares are allowed.
#[test]
fn no_files_import_each_other() {
    let mut circles = Vec::new();
    for (name, found) in &crates() {
        let source = Source::read(&found.root);
        assert!(!source.imports.is_empty(), "{name}: no file was read");
        circles.extend(source.circles().into_iter().map(|circle| format!("{name}: {circle:?}")));
    }
    assert!(circles.is_empty(), "files that import each other:\n{}", circles.join("\n"));
}

#[test]
fn import_circles_are_found_through_super_groups_and_reexports() {
    let files = [
        ("", "mod a; mod b; mod c; mod d; pub use d::Last;"),
        ("a", "use super::b::{One, self};"),
        ("b", "fn two() -> crate::c::Three { crate::c::three() }"),
        ("c", "use super::{Last, c};"),
        ("d", "pub struct Last(crate::a::First); #[cfg(test)] mod tests { use crate::c::Three; }"),
    ];
    let circles = Source::parse(&files.map(|(module, text)| (path(module), text.to_owned()))).circles();
    assert_eq!(circles, [BTreeSet::from(["a", "b", "c", "d"].map(path))]);
    let files =
        [("", "mod a; mod b;"), ("a", "mod child; use crate::b::X;"), ("a::child", "use super::Parent;"), ("b", "")];
    assert!(Source::parse(&files.map(|(module, text)| (path(module), text.to_owned()))).circles().is_empty());
}

fn path(module: &str) -> Module {
    module.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

struct Crate {
    /// The path of `lib.rs` or `main.rs`.
    root: PathBuf,
    /// The names of the crates that its release build needs.
    dependencies: BTreeSet<String>,
}

/// Returns the crates of the workspace, from `cargo metadata`.
fn crates() -> BTreeMap<String, Crate> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(crate::repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = |value: &serde_json::Value| value.as_array().unwrap().clone();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    list(&metadata["packages"])
        .iter()
        .filter_map(|package| {
            let targets = list(&package["targets"]);
            let is_root = |target: &&serde_json::Value| {
                list(&target["kind"]).iter().any(|kind| matches!(text(kind).as_str(), "lib" | "rlib" | "bin"))
            };
            let dependencies = list(&package["dependencies"]);
            let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
            // A package of benchmarks has neither a library nor a program.
            let root = PathBuf::from(text(&targets.iter().find(is_root)?["src_path"]));
            let dependencies = normal.map(|dependency| text(&dependency["name"])).collect();
            Some((text(&package["name"]), Crate { root, dependencies }))
        })
        .collect()
}

/// The path of a module from the root of its crate. The path of the root is empty.
type Module = Vec<String>;

/// The modules of a crate. Each module is one file.
struct Source {
    /// For each module, the modules whose items it names.
    imports: BTreeMap<Module, BTreeSet<Module>>,
}

impl Source {
    fn read(root: &Path) -> Self {
        let folder = root.parent().unwrap();
        let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
        while let Some(current) = folders.pop() {
            for entry in std::fs::read_dir(current).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    files.push(path);
                }
            }
        }
        let files: Vec<(Module, String)> = files
            .into_iter()
            .map(|file| {
                let relative = file.strip_prefix(folder).unwrap().with_extension("");
                let mut module: Module = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
                if file == root || module.last().is_some_and(|name| name == "mod") {
                    module.pop();
                }
                (module, std::fs::read_to_string(file).unwrap())
            })
            .filter(|(module, _)| !module.iter().any(|name| name == "tests"))
            .collect();
        Self::parse(&files)
    }

    fn parse(files: &[(Module, String)]) -> Self {
        let parsed: BTreeMap<&Module, Names> = files
            .iter()
            .map(|(module, text)| {
                let mut names = Names::default();
                names.visit_file(&syn::parse_file(text).unwrap());
                (module, names)
            })
            .collect();
        let imports = parsed.iter().map(|(module, names)| {
            let targets = names.paths.iter().filter_map(|path| target(&parsed, module, path));
            ((*module).clone(), targets.filter(|target| target != *module).collect())
        });
        Self { imports: imports.collect() }
    }

    /// Returns the groups of files that import each other, directly or through other files.
    fn circles(&self) -> Vec<BTreeSet<Module>> {
        let is_family = |a: &Module, b: &Module| a.starts_with(b) || b.starts_with(a);
        let next = |module: &Module| -> Vec<&Module> {
            self.imports[module].iter().filter(|other| !is_family(module, other)).collect()
        };
        let reached = |from: &Module| {
            let (mut reached, mut waiting) = (BTreeSet::new(), next(from));
            while let Some(module) = waiting.pop() {
                if reached.insert(module.clone()) {
                    waiting.extend(next(module));
                }
            }
            reached
        };
        let reach: BTreeMap<&Module, BTreeSet<Module>> =
            self.imports.keys().map(|module| (module, reached(module))).collect();
        let mut circles: Vec<BTreeSet<Module>> = Vec::new();
        for (module, reached) in &reach {
            let circle: BTreeSet<Module> =
                reached.iter().filter(|other| reach[other].contains(*module)).cloned().collect();
            if !circle.is_empty() && !circles.contains(&circle) {
                circles.push(circle);
            }
        }
        circles
    }
}

/// Returns the module of the item that `path` names in `module`: the longest module on the path. Follows re-exports.
/// `None` for paths into other crates.
fn target(parsed: &BTreeMap<&Module, Names>, module: &Module, path: &[String]) -> Option<Module> {
    let mut at = module.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => (at, rest) = (Module::new(), &path[1..]),
        "self" => rest = &path[1..],
        "super" => {}
        // A child, named without a prefix.
        first => {
            let child: Module = at.iter().cloned().chain([first.to_owned()]).collect();
            parsed.contains_key(&child).then_some(())?;
        }
    }
    while rest.first().is_some_and(|name| name == "super") {
        at.pop()?;
        rest = &rest[1..];
    }
    while let Some(name) = rest.first() {
        let child: Module = at.iter().cloned().chain([name.clone()]).collect();
        if parsed.contains_key(&child) {
            (at, rest) = (child, &rest[1..]);
        } else {
            let passed_on = parsed[&at].reexports.get(name);
            let through = passed_on.and_then(|path| target(parsed, &at, path));
            return Some(through.filter(|through| *through != at).unwrap_or(at));
        }
    }
    Some(at)
}

/// The paths that a file uses outside its tests, and the names that it re-exports.
#[derive(Default)]
struct Names {
    paths: BTreeSet<Vec<String>>,
    reexports: BTreeMap<String, Vec<String>>,
}

impl Names {
    fn use_tree(&mut self, tree: &syn::UseTree, prefix: &[String], is_reexport: bool) {
        let with = |name: &syn::Ident| prefix.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&path.tree, &with(&path.ident), is_reexport),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, prefix, is_reexport);
                }
            }
            syn::UseTree::Name(name) if name.ident == "self" => self.leaf(prefix.to_vec(), None, is_reexport),
            syn::UseTree::Name(name) => self.leaf(with(&name.ident), Some(name.ident.to_string()), is_reexport),
            syn::UseTree::Rename(name) => self.leaf(with(&name.ident), Some(name.rename.to_string()), is_reexport),
            syn::UseTree::Glob(_) => self.leaf(prefix.to_vec(), None, is_reexport),
        }
    }

    fn leaf(&mut self, path: Vec<String>, name: Option<String>, is_reexport: bool) {
        if let Some(name) = name.filter(|_| is_reexport) {
            self.reexports.insert(name, path.clone());
        }
        self.paths.insert(path);
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            _ => &Vec::new(),
        };
        let is_test = attributes.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string().contains("test"))
        });
        if !is_test {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_reexport = !matches!(item.vis, syn::Visibility::Inherited);
        self.use_tree(&item.tree, &[], is_reexport);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }
}

//! Runs each input in `fuzz/regressions` with the property of its target, so that fixed failures do not return.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use crate::fuzzed::{Property, TARGETS};

/// Returns the folder of the inputs. `None`, with a message, in a package without them, such as a package of a
/// registry.
fn regressions() -> Option<PathBuf> {
    let path = crate::repository().join("fuzz/regressions");
    if !path.is_dir() {
        eprintln!("skipped: there is no folder `fuzz/regressions`");
        return None;
    }
    Some(path)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

#[test]
fn every_regression_input_passes() {
    let Some(folder) = regressions() else { return };
    let mut failed = Vec::new();
    for (name, property) in TARGETS {
        let inputs = entries(&folder.join(name));
        assert!(!inputs.is_empty(), "no inputs for `{name}`");
        failed.extend(inputs.into_iter().filter(|input| !passes(property, input)));
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Whether the property holds for an input. Prints the panic message otherwise, so that all failures are reported.
fn passes(property: Property, input: &Path) -> bool {
    let bytes = fs::read(input).unwrap();
    catch_unwind(|| property(&bytes)).is_ok()
}

/// The folders of inputs, the built targets and the table of the README match [`TARGETS`].
#[test]
fn every_target_is_built_and_listed() {
    let Some(folder) = regressions() else { return };
    let fuzz = folder.parent().unwrap();
    let stems = |folder: &Path| -> Vec<String> {
        entries(folder).iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    // The property of `capi` is in the tests of its crate, which may use `unsafe`.
    let mut names: Vec<String> = TARGETS.iter().map(|(name, _)| *name).chain(["capi"]).map(str::to_owned).collect();
    names.sort();
    assert_eq!(stems(&folder), names);
    assert_eq!(stems(&fuzz.join("fuzz_targets")), names);
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let readme = fs::read_to_string(fuzz.join("README.md")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "`{name}` is not in Cargo.toml");
        assert!(readme.contains(&format!("\n| `{name}` |")), "`{name}` is not in README.md");
    }
}

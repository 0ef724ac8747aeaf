//! The committed header, the exported symbols, and the guard of every exported function.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::built;

fn sources() -> Vec<PathBuf> {
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    // `lib.rs` only declares the other files, and the generator would read them twice.
    files.retain(|file| file.file_name().is_some_and(|name| name != "lib.rs"));
    files.sort();
    files
}

/// The texts of the exported functions of a file, from their names on.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[unsafe(no_mangle)]").skip(1).map(|rest| rest.split_once("extern \"C\" fn ").unwrap().1)
}

/// The names of the exported functions, from the sources.
fn exported() -> BTreeSet<String> {
    let names = |file: &PathBuf| -> Vec<String> {
        let text = fs::read_to_string(file).unwrap();
        functions(&text).map(|rest| rest.split('(').next().unwrap().to_owned()).collect()
    };
    sources().iter().flat_map(names).collect()
}

/// `BLESS=1 cargo test -p portcullis-capi --test it header` writes the header.
#[test]
fn header_is_generated_from_the_sources() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    let builder = sources().into_iter().fold(cbindgen::Builder::new().with_config(config), cbindgen::Builder::with_src);
    let mut generated = Vec::new();
    builder.generate().unwrap().write(&mut generated);
    let generated = String::from_utf8(generated).unwrap();
    // Sections of rustdoc for Rust callers.
    let generated = without_safety(&generated);
    let path = folder.join("include/portcullis.h");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), generated, "the header differs: run the test with `BLESS=1`");
    for name in exported() {
        let count = generated.matches(&format!("{name}(")).count();
        assert_eq!(count, 1, "{name} is declared {count} times in the header");
    }
}

/// Removes the sections `# Safety`, which state in the words of Rust what the rules of the header state.
fn without_safety(header: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let mut is_safety = false;
    for line in header.lines() {
        let comment = line.trim_start().strip_prefix("//").map(str::trim);
        is_safety = comment.is_some_and(|comment| comment == "# Safety" || is_safety);
        if is_safety {
            if lines.last().is_some_and(|line| line.trim() == "//") {
                lines.pop();
            }
        } else {
            lines.push(line);
        }
    }
    lines.join("\n") + "\n"
}

/// `BLESS=1 cargo test -p portcullis-capi --test it header` writes the list.
#[test]
#[cfg(target_os = "linux")]
fn library_exports_exactly_the_committed_symbols() {
    let output =
        std::process::Command::new("nm").args(["-D", "--defined-only"]).arg(built::library()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    let found: BTreeSet<String> = names.lines().map(|line| line.split(' ').next_back().unwrap().to_owned()).collect();
    assert_eq!(found, exported());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("symbols.txt");
    let text = found.iter().fold(String::new(), |text, name| text + name + "\n");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), text, "the symbols differ: run the test with `BLESS=1`");
}

/// A panic that is not caught aborts the gateway.
#[test]
fn every_exported_function_catches_panics() {
    let mut count = 0;
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        for function in functions(&text) {
            let body = function.split_once("\n}\n").unwrap().0;
            assert!(body.contains("\n    guarded("), "{}: {function}", file.display());
            count += 1;
        }
    }
    assert_eq!(count, exported().len());
    assert!(count > 10);
}

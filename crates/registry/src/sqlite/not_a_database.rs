//! The error for a file in another format, which is named with the command that converts it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use portcullis_document::load::{FOREIGN_BYTES, Foreign};

use super::files::is_word;
use crate::error::{RegistryError, storage};
use crate::words::quoted;

/// Returns the error for the file at `path`, which is not a SQLite database.
pub(super) fn error(path: &Path) -> RegistryError {
    let name = quoted(&path.display().to_string());
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FOREIGN_BYTES as u64).read_to_end(&mut start));
    let (found, help) = match read {
        Ok(_) => found(path, &start),
        Err(_) => ("a file of another format", NAME_A_REGISTRY.to_owned()),
    };
    storage(format!("cannot open the registry {name}: it is not a SQLite database, found {found}"), help)
}

const NAME_A_REGISTRY: &str = "name a registry, such as `sqlite:registry.db`";

/// Returns what the file is that begins with `start`, and a fix.
fn found(path: &Path, start: &[u8]) -> (&'static str, String) {
    let text = path.display().to_string();
    let file = if is_word(&text) && !text.starts_with('-') { &*text } else { "FILE" };
    let convert = |command: &str| format!("`{command} {file}`, and name the database that it writes");
    let format = Foreign::of_document(start);
    let help = match format {
        Some(Foreign::Gzip) => convert("gunzip -k"),
        Some(Foreign::Zstd) => convert("unzstd"),
        Some(Foreign::Bzip2) => convert("bunzip2 -k"),
        Some(Foreign::Xz) => convert("unxz -k"),
        Some(Foreign::Zip) => convert("unzip"),
        Some(Foreign::Tar) => convert("tar -xf"),
        Some(Foreign::LfsPointer) => "download the file itself with `git lfs pull`".to_owned(),
        Some(Foreign::Compiled) => format!("a compiled policy is a file for `--policy {file}`"),
        None if is_json(start) => {
            format!(
                "a policy of JSON is a file for `--policy {file}`; `portcullis import {file}` adds it to a registry"
            )
        }
        _ => NAME_A_REGISTRY.to_owned(),
    };
    (format.map_or(if is_json(start) { "JSON" } else { "text" }, Foreign::found), help)
}

fn is_json(start: &[u8]) -> bool {
    start.trim_ascii_start().starts_with(b"{") || start.trim_ascii_start().starts_with(b"[")
}

//! The property of the fuzz target `capi`, with each committed input and with edits of it.

mod property;

use std::fs;
use std::path::Path;

fn inputs() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/regressions/capi");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn every_function_accepts_any_bytes() {
    let inputs = inputs();
    assert!(inputs.len() >= 3, "the inputs are committed");
    let allowed = inputs.iter().map(|input| property::property(input));
    assert!(allowed.into_iter().any(|allowed| allowed.request && allowed.http_request), "an input is allowed");
    for input in &inputs {
        for offset in 0..input.len() {
            for byte in [0, 1, 2, 0x1E, 0x1F, b'"', b'*', 0xFF] {
                let mut edited = input.clone();
                if let Some(old) = edited.get_mut(offset) {
                    *old = byte;
                }
                property::property(&edited);
            }
            property::property(input.get(..offset).unwrap_or_default());
        }
    }
}

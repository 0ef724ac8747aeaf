//! The properties that the fuzz targets try. They are those of the ordinary tests, and stand there: `tests/it/fuzzed`.

// A helper of the tests is not always one of the targets.
#[allow(dead_code)]
#[path = "../../tests/it/choices.rs"]
mod choices;
#[path = "../../tests/it/document.rs"]
mod document;
#[allow(dead_code)]
#[path = "../../tests/it/engine.rs"]
mod engine;
#[allow(dead_code)]
#[path = "../../tests/it/fuzzed/mod.rs"]
mod fuzzed;
#[allow(dead_code)]
#[path = "../../tests/it/generate.rs"]
mod generate;
#[allow(dead_code)]
#[path = "../../tests/it/request.rs"]
mod request;
#[path = "../../tests/it/texts.rs"]
mod texts;

/// Panics where the property of the target called `name` does not hold for `input`.
///
/// # Panics
///
/// If there is no such target, too.
pub fn try_out(name: &str, input: &[u8]) {
    let target = fuzzed::TARGETS.iter().find(|(target, _)| *target == name);
    let (_, property) = target.unwrap_or_else(|| panic!("there is no target `{name}`"));
    property(input);
}

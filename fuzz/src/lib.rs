//! The properties of the fuzz targets. Ordinary tests use them too: `tests/it/fuzzed` defines them.

// The targets do not use all helpers of the tests.
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
#[path = "../../tests/it/haproxy.rs"]
mod haproxy;
#[allow(dead_code)]
#[path = "../../tests/it/request.rs"]
mod request;
#[path = "../../tests/it/texts.rs"]
mod texts;

/// Checks the property of the target `name` for `input`.
///
/// # Panics
///
/// If the property does not hold, or there is no target `name`.
pub fn try_out(name: &str, input: &[u8]) {
    let target = fuzzed::TARGETS.iter().find(|(target, _)| *target == name);
    let (_, property) = target.unwrap_or_else(|| panic!("there is no target `{name}`"));
    property(input);
}

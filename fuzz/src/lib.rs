//! The properties of the fuzz targets. Ordinary tests use them too: `tests/engine/fuzzed` defines them.

// The targets do not use all helpers of the tests.
#[allow(dead_code)]
#[path = "../../tests/engine/choices.rs"]
mod choices;
#[path = "../../tests/engine/document.rs"]
mod document;
#[allow(dead_code)]
#[path = "../../tests/engine/engine.rs"]
mod engine;
#[allow(dead_code)]
#[path = "../../tests/engine/fuzzed/mod.rs"]
mod fuzzed;
#[allow(dead_code)]
#[path = "../../tests/engine/generate.rs"]
mod generate;
#[allow(dead_code)]
#[path = "../../tests/engine/haproxy.rs"]
mod haproxy;
#[allow(dead_code)]
#[path = "../../tests/engine/request.rs"]
mod request;
#[path = "../../tests/engine/texts.rs"]
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

#![no_main]

// Only the ordinary test looks at what the property returns.
#[expect(dead_code)]
#[path = "../../crates/capi/tests/it/surface/property.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    property::property(input);
});

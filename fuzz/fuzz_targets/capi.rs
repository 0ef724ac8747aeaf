#![no_main]

#[path = "../../crates/capi/tests/it/surface/property.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    property::property(input);
});

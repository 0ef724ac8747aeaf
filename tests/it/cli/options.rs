//! Options whose values would have no effect are refused.

use super::util::{Dir, POLICY};

#[test]
fn limits_of_zero_and_beyond_any_output_are_refused() {
    let dir = Dir::new().file("policy.json", POLICY).file("names.csv", "connection,name\ndw,public.roads\n");
    for command in [
        "trail --db sqlite:r.db --last",
        "named-sources list --db sqlite:r.db --page",
        "named-sources list --db sqlite:r.db --page-size",
        "audit exposure --policy policy.json --catalog names.csv --limit",
        "audit forecast --policy policy.json --limit",
        "audit forecast --policy policy.json --count",
        "audit lint --policy policy.json --limit",
        "validate policy.json --max-errors",
        "inspect --policy policy.json --max-errors",
        "import policy.json --db sqlite:r.db --max-errors",
        "scan --threads",
    ] {
        for value in ["0", "-1", "x", "1.5", "18446744073709551616"] {
            let error = dir.command(&format!("{command}={value}")).stderr();
            let expected = "': expected a whole number from 1 to ";
            assert!(
                error.starts_with("error: invalid value '") && error.contains(expected),
                "{command} {value}: {error}"
            );
            assert!(error.contains("\nhelp: write `"), "{command} {value}: {error}");
        }
    }
    assert!(!dir.path("r.db").exists());
}

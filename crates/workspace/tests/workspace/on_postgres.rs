//! The tests of this program again, on registries in PostgreSQL.

use std::process::Command;

use super::postgres::{Cluster, programs};

/// With this variable, registries are in PostgreSQL. Its value does not matter.
const VARIABLE: &str = "PORTCULLIS_TEST_ON_POSTGRES";

/// Returns the server that this run of the tests uses; `None` if registries are SQLite files.
pub(crate) fn cluster() -> Option<&'static Cluster> {
    let is_asked = std::env::var_os(VARIABLE).is_some();
    is_asked.then(|| Cluster::shared().unwrap_or_else(|| panic!("`{VARIABLE}` needs an installed PostgreSQL")))
}

/// Compiling the tests a second time, for the other database, would take longer than to run them.
#[test]
fn all_tests_pass_on_postgresql() {
    if std::env::var_os(VARIABLE).is_some() || programs().is_none() {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap()).env(VARIABLE, "1").output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "with {VARIABLE}=1:\n{report}");
    // The other tests, and this one.
    assert!(report.contains("test sessions::") && report.contains("test oauth::"), "few tests ran:\n{report}");
}

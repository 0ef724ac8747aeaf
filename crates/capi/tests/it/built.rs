//! The library that Cargo built together with the test.

use std::path::PathBuf;

/// The folder of `libportcullis_c.so`, `libportcullis_c.a` and the tests' programs.
pub(crate) fn folder() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// The shared library.
pub(crate) fn library() -> PathBuf {
    folder().join(format!("{}portcullis_c{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

//! The Envoy that loaded the module.

use std::sync::OnceLock;

use crate::callbacks::Callbacks;

static HOST: OnceLock<Callbacks> = OnceLock::new();

/// Returns the functions of Envoy; `None` until the module is loaded.
pub(crate) fn host() -> Option<&'static Callbacks> {
    HOST.get()
}

/// Sets the functions of Envoy. A module that is loaded again has the same functions.
pub(crate) fn install(callbacks: Callbacks) {
    HOST.get_or_init(|| callbacks);
}

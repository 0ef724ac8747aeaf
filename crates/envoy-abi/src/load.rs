//! The load of the module, and the check of Envoy's ABI.

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;

use crate::callbacks::{Callbacks, Find};
use crate::host::install;
use crate::log::{Level, log};

/// The versions of the ABI that the module knows, newest first. Each has a function that the versions before it lack.
///
/// Envoy 1.38 and 1.39 have v0.1.0, Envoy 1.40 has v0.2.0. Earlier ones lack functions that the module calls.
const VERSIONS: &[(&CStr, &CStr)] = &[
    (c"v0.2.0", c"envoy_dynamic_module_callback_cluster_add_hosts_with_hostnames"),
    (c"v0.1.0", c"envoy_dynamic_module_callback_http_add_dynamic_metadata_list_number"),
];

/// Prepares the module, when Envoy loads it. Returns the version of the ABI, which Envoy compares with its own and logs, or
/// NULL if the module does not know this Envoy. Envoy then refuses the configuration.
///
/// Keeps the module in memory: its threads may outlive the last configuration.
pub fn init() -> *const c_char {
    match prepare(&in_process, &stay_loaded) {
        Ok((callbacks, version)) => {
            install(callbacks);
            version.as_ptr()
        }
        Err(error) => {
            log(Level::Error, &error);
            std::ptr::null()
        }
    }
}

fn prepare(find: Find<'_>, stay: &dyn Fn() -> bool) -> Result<(Callbacks, &'static CStr), String> {
    let version = version(find)?;
    let callbacks = Callbacks::find(find).map_err(|missing| unknown(&missing))?;
    if !stay() {
        return Err(
            "cannot keep the module in memory; help: set `do_not_close: true` in `dynamic_module_config`, and \
                    load the module from a file"
                .to_owned(),
        );
    }
    Ok((callbacks, version))
}

/// Returns the version of the ABI.
fn version(find: Find<'_>) -> Result<&'static CStr, String> {
    let known = VERSIONS.iter().find(|(_, mark)| !find(mark).is_null());
    let oldest: Vec<_> = VERSIONS.last().map(|(_, mark)| *mark).into_iter().collect();
    known.map(|(version, _)| *version).ok_or_else(|| unknown(&oldest))
}

fn unknown(missing: &[&CStr]) -> String {
    let first = missing.first().map_or_else(Default::default, |name| name.to_string_lossy());
    format!("the module does not know the ABI of this Envoy, which lacks `{first}`; help: use Envoy 1.38 or later")
}

/// Finds a function of the running program.
fn in_process(name: &CStr) -> *mut c_void {
    // SAFETY: the name ends with a zero byte.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}

/// Keeps the file of this module loaded until the process ends.
fn stay_loaded() -> bool {
    let mut found = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `found` may be written, and any address may be looked up.
    if unsafe { libc::dladdr((init as *const ()).cast(), found.as_mut_ptr()) } == 0 {
        return false;
    }
    // SAFETY: all bytes are initialized, and `dladdr` wrote pointers.
    let found = unsafe { found.assume_init() };
    // SAFETY: the name is a text that ends with a zero byte.
    let again = unsafe { libc::dlopen(found.dli_fname, libc::RTLD_NOLOAD | libc::RTLD_NODELETE | libc::RTLD_LAZY) };
    !again.is_null()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]
mod tests {
    use super::{VERSIONS, init, prepare, version};
    use crate::callbacks::Callbacks;
    use std::ffi::{CStr, c_void};

    /// No test calls what it finds.
    const FOUND: *mut c_void = std::ptr::dangling_mut();

    fn without<'n>(absent: &'n [&'n CStr]) -> impl Fn(&CStr) -> *mut c_void + 'n {
        move |name| if absent.contains(&name) { std::ptr::null_mut() } else { FOUND }
    }

    #[test]
    fn version_is_the_newest_that_envoy_has() {
        let [(newest, mark), (first, first_mark)] = VERSIONS else { unreachable!() };
        assert_eq!(version(&without(&[])).unwrap(), *newest);
        assert_eq!(version(&without(&[mark])).unwrap(), *first);
        let error = version(&without(&[mark, first_mark])).unwrap_err();
        assert!(error.contains("does not know the ABI of this Envoy") && error.contains("help: use Envoy"), "{error}");
    }

    #[test]
    fn envoy_that_lacks_any_function_is_refused_by_name() {
        for name in Callbacks::NAMES {
            let error = prepare(&without(&[name]), &|| true).unwrap_err();
            assert!(error.contains(name.to_str().unwrap()), "{error}");
        }
    }

    #[test]
    fn module_that_cannot_stay_in_memory_is_refused() {
        let error = prepare(&without(&[]), &|| false).unwrap_err();
        assert!(error.contains("keep the module in memory"), "{error}");
    }

    #[test]
    fn other_programs_than_envoy_are_refused() {
        assert!(init().is_null());
    }
}

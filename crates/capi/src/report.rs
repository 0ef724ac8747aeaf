//! Reports on a policy: generation, last error, metrics, reload.

use crate::abi::pcl_text;
use crate::borrow::{needed, value};
use crate::guard::{guarded, panics};
use crate::handle::pcl_policy;
use crate::string::{clear, owned, pcl_string, store};

/// Returns the generation of the policy: 1 for the first one of a process, and one more for each reload. 0 if `policy` is
/// NULL.
///
/// Threads: any number at once.
///
/// # Safety
///
/// `policy` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_generation(policy: *const pcl_policy) -> u64 {
    guarded(
        || 0,
        || {
            // SAFETY: valid by the contract.
            let policy = unsafe { value(policy, "policy") };
            policy.ok().flatten().map_or(0, |policy| policy.shared().authorizer.current().number())
        },
    )
}

/// Returns why the last reload of a live policy failed; NULL if it succeeded. Free the reason with `pcl_string_free`.
///
/// Threads: any number at once.
///
/// # Safety
///
/// `policy` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_last_error(policy: *const pcl_policy) -> *mut pcl_string {
    guarded(
        || owned("the library failed"),
        || {
            // SAFETY: valid by the contract.
            match unsafe { value(policy, "policy") }.and_then(|policy| needed(policy, "policy")) {
                Ok(policy) => policy.shared().error().map_or(std::ptr::null_mut(), owned),
                Err(invalid) => owned(invalid.to_string()),
            }
        },
    )
}

/// Returns the counters of this process in the text format of Prometheus; NULL if `policy` is NULL. Free the text with
/// `pcl_string_free`.
///
/// Threads: any number at once.
///
/// # Safety
///
/// `policy` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_metrics(policy: *const pcl_policy) -> *mut pcl_string {
    guarded(std::ptr::null_mut, || {
        // SAFETY: valid by the contract.
        let Ok(Some(policy)) = (unsafe { value(policy, "policy") }) else { return std::ptr::null_mut() };
        let shared = policy.shared();
        owned(shared.counters.text(shared.authorizer.current().number(), &shared.freshness, panics()))
    })
}

/// Reads the source of a live policy now, even if it has not changed, and returns when the new version applies.
///
/// Returns 1 on success, otherwise 0. On failure the last good policy stays, and the reason is stored in `error` unless
/// `error` is NULL. Free the reason with `pcl_string_free`.
///
/// Threads: any number at once. Reloads wait for each other; decisions never wait.
///
/// # Safety
///
/// Every pointer is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_reload(policy: *const pcl_policy, error: *mut *mut pcl_string) -> i32 {
    let fail = |why: String| {
        // SAFETY: valid by the contract.
        unsafe { store(error, why) };
        0
    };
    let reload = || {
        // SAFETY: valid by the contract.
        let policy = unsafe { value(policy, "policy") }.and_then(|policy| needed(policy, "policy"));
        let policy = policy.map_err(|error| error.to_string())?;
        let watched = policy.watched().ok_or("the policy follows no source; help: open it with `pcl_live_open`")?;
        policy.shared().reload(watched, true)
    };
    guarded(
        || fail("the library failed".to_owned()),
        || {
            // SAFETY: valid by the contract.
            unsafe { clear(error) };
            reload().map_or_else(fail, |()| 1)
        },
    )
}

/// Returns the version of the library. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn pcl_version() -> pcl_text {
    guarded(|| pcl_text::MISSING, || pcl_text::of(env!("CARGO_PKG_VERSION")))
}

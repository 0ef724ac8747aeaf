//! Explains a decision.

use crate::abi::pcl_request;
use crate::borrow::{needed, value};
use crate::guard::guarded;
use crate::handle::pcl_policy;
use crate::request;
use crate::string::{clear, owned, pcl_string, store};
use portcullis::explain;

/// Explains how `policy` decides `request`: the JSON of `portcullis check --explain`, with each check and near misses.
///
/// For operators: an explanation exposes policy details. Do not send it to clients. It never repeats the secret.
///
/// Returns NULL on failure, and stores the reason in `error` unless `error` is NULL. Free both with `pcl_string_free`.
/// An explanation is not counted as a decision. It takes longer, and allocates.
///
/// Threads: any number at once.
///
/// # Safety
///
/// Every pointer is NULL or valid, and the lengths are right.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_explain(
    policy: *const pcl_policy,
    request: *const pcl_request,
    error: *mut *mut pcl_string,
) -> *mut pcl_string {
    let fail = |why: String| {
        // SAFETY: valid by the contract.
        unsafe { store(error, why) };
        std::ptr::null_mut()
    };
    let explanation = || {
        // SAFETY: valid by the contract.
        let policy = unsafe { value(policy, "policy") }.and_then(|policy| needed(policy, "policy"));
        let policy = policy.map_err(|error| error.to_string())?;
        // SAFETY: valid by the contract.
        let (access, now) = unsafe { request::read(request) }.map_err(|error| error.to_string())?;
        let current = policy.shared().authorizer.current();
        let snapshot = current.snapshot().ok_or("there is no policy to explain by")?;
        let explained = explain(snapshot, &access.request(&access.sources()), now);
        serde_json::to_string(&explained).map_err(|_| "the explanation cannot be written".to_owned())
    };
    guarded(
        || fail("the library failed".to_owned()),
        || {
            // SAFETY: valid by the contract.
            unsafe { clear(error) };
            explanation().map_or_else(fail, owned)
        },
    )
}

//! Opens and frees policies.

use std::path::{Path, PathBuf};
use std::ptr;

use crate::abi::{PCL_MAX_POLICY, pcl_options, pcl_text};
use crate::borrow::{bytes, needed, text};
use crate::guard::guarded;
use crate::handle::pcl_policy;
use crate::options::PolicyOptions;
use crate::string::{clear, pcl_string, store};
use portcullis::Authorizer;
use portcullis_live::{Watched, load};

/// Opens a policy from memory: a JSON document, or the bytes of a compiled policy. Copies what it needs.
///
/// Returns NULL on failure, and stores the reason in `error` unless `error` is NULL. Free the reason with
/// `pcl_string_free`. `options` may be NULL for the defaults.
///
/// Threads: any number at once. Starts no thread.
///
/// # Safety
///
/// Every pointer is NULL or valid, and the lengths are right.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_open_bytes(
    document: pcl_text,
    options: *const pcl_options,
    error: *mut *mut pcl_string,
) -> *mut pcl_policy {
    let open = || {
        // SAFETY: valid by the contract.
        let options = unsafe { PolicyOptions::read(options) }.map_err(|error| error.to_string())?;
        // SAFETY: valid by the contract.
        let document = unsafe { bytes(document, "document", PCL_MAX_POLICY) };
        let document = document.and_then(|bytes| needed(bytes, "document")).map_err(|error| error.to_string())?;
        let snapshot = load::snapshot("<memory>", document.to_vec())?;
        Ok((pcl_policy::new(Authorizer::new(snapshot), options, None), None))
    };
    // SAFETY: `error` is NULL or valid by the contract.
    guarded(|| unsafe { internal(error) }, || unsafe { opened(open, error) })
}

/// Opens a policy from the file at `path`: a JSON document, or a compiled policy. Later changes of the file have no
/// effect: see `pcl_live_open`.
///
/// Returns NULL on failure, and stores the reason in `error` unless `error` is NULL. Free the reason with
/// `pcl_string_free`. `options` may be NULL for the defaults.
///
/// Threads: any number at once. Starts no thread, and keeps no file open.
///
/// # Safety
///
/// Every pointer is NULL or valid, and the lengths are right.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_open_file(
    path: pcl_text,
    options: *const pcl_options,
    error: *mut *mut pcl_string,
) -> *mut pcl_policy {
    let open = || {
        // SAFETY: valid by the contract.
        let options = unsafe { PolicyOptions::read(options) }.map_err(|error| error.to_string())?;
        // SAFETY: valid by the contract.
        let (snapshot, _) = load::file(&unsafe { path_of(path) }?)?;
        Ok((pcl_policy::new(Authorizer::new(snapshot), options, None), None))
    };
    // SAFETY: `error` is NULL or valid by the contract.
    guarded(|| unsafe { internal(error) }, || unsafe { opened(open, error) })
}

/// Opens a policy from the file at `path`, and follows the file: a thread checks it every `poll_milliseconds`. A valid
/// version applies from the next decision. If a version is not valid, the last good policy stays, and `pcl_last_error`
/// returns the reason.
///
/// Returns NULL on failure, also if the file is not valid now, and stores the reason in `error` unless `error` is NULL.
/// Free the reason with `pcl_string_free`. `options` may be NULL for the defaults. With `PCL_OPEN_UNAVAILABLE`, a file that
/// is not valid now is not a failure: requests are denied with 503 until it is valid, and the reason is stored in `error`.
///
/// Threads and forks: starts no thread. The first use of the policy in each process starts its thread, so a server may
/// open the policy and then fork. A child continues with the policy of its parent if the file has not changed since it was
/// opened. Otherwise its first use reads the file, and requests are denied with 503 while the file is not valid. Its
/// generations and counters start again.
///
/// # Safety
///
/// Every pointer is NULL or valid, and the lengths are right.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_live_open(
    path: pcl_text,
    options: *const pcl_options,
    error: *mut *mut pcl_string,
) -> *mut pcl_policy {
    let open = || {
        // SAFETY: valid by the contract.
        let options = unsafe { PolicyOptions::read(options) }.map_err(|error| error.to_string())?;
        // SAFETY: valid by the contract.
        let path = unsafe { path_of(path) }?;
        let (authorizer, opened, failure) = match load::file(&path) {
            Ok((snapshot, stamp)) => (Authorizer::new(snapshot), Some(stamp), None),
            Err(failure) if options.may_be_unavailable => (Authorizer::unavailable(), None, Some(failure)),
            Err(failure) => return Err(failure),
        };
        let watched = Watched { path, opened, poll: options.poll };
        let policy = pcl_policy::new(authorizer, options, Some(watched));
        Ok((policy, failure))
    };
    // SAFETY: `error` is NULL or valid by the contract.
    guarded(|| unsafe { internal(error) }, || unsafe { opened(open, error) })
}

/// Frees `policy`. NULL is ignored. Ends the thread of a live policy in this process, and waits for it.
///
/// Answers and strings stay valid: free each of them on its own.
///
/// # Safety
///
/// `policy` is NULL, or was returned by this library and not freed. No thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_policy_free(policy: *mut pcl_policy) {
    guarded(
        || (),
        || {
            if !policy.is_null() {
                // SAFETY: `opened` allocated it, and it was not freed by the contract.
                drop(unsafe { Box::from_raw(policy) });
            }
        },
    );
}

/// A policy, and why it is not available yet.
type Opened = (pcl_policy, Option<String>);

/// # Safety
///
/// `error` is NULL or valid.
unsafe fn opened(open: impl FnOnce() -> Result<Opened, String>, error: *mut *mut pcl_string) -> *mut pcl_policy {
    // SAFETY: valid by the contract.
    unsafe { clear(error) };
    match open() {
        Ok((policy, unavailable)) => {
            if let Some(why) = unavailable {
                // SAFETY: valid by the contract.
                unsafe { store(error, why) };
            }
            Box::into_raw(Box::new(policy))
        }
        Err(why) => {
            // SAFETY: valid by the contract.
            unsafe { store(error, why) };
            ptr::null_mut()
        }
    }
}

/// # Safety
///
/// `error` is NULL or valid.
unsafe fn internal(error: *mut *mut pcl_string) -> *mut pcl_policy {
    // SAFETY: valid by the contract.
    unsafe { store(error, "the library failed") };
    ptr::null_mut()
}

/// # Safety
///
/// `path` is valid.
unsafe fn path_of(path: pcl_text) -> Result<PathBuf, String> {
    // SAFETY: valid by the contract.
    let path = unsafe { text(path, "path") }.and_then(|path| needed(path, "path"));
    match path.map_err(|error| error.to_string())? {
        "" => Err("`path`: expected the path of a file, found an empty text".to_owned()),
        path if path.contains('\0') => Err("`path`: expected the path of a file, found a zero byte".to_owned()),
        path => Ok(Path::new(path).to_owned()),
    }
}

//! Opens and frees policies.

use std::path::Path;
use std::ptr;

use crate::abi::{PCL_MAX_POLICY, pcl_options, pcl_text};
use crate::borrow::{bytes, needed, text};
use crate::guard::guarded;
use crate::handle::pcl_policy;
use crate::options::PolicyOptions;
use crate::string::{clear, pcl_string, store};
use portcullis::{Authorizer, Snapshot};
use portcullis_live::{Source, Watched, load};

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
    let find = |_: &PolicyOptions| {
        // SAFETY: valid by the contract.
        let document = unsafe { bytes(document, "document", PCL_MAX_POLICY) };
        let document = document.and_then(|bytes| needed(bytes, "document")).map_err(|error| error.to_string())?;
        load::snapshot("<memory>", document.to_vec()).map(Found::unchanging)
    };
    // SAFETY: valid by the contract.
    guarded(|| unsafe { internal(error) }, || unsafe { opened(options, error, find) })
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
    let find = |_: &PolicyOptions| {
        // SAFETY: valid by the contract.
        let path = unsafe { path_of(path) }?;
        load::file(Path::new(path)).map(|(snapshot, _)| Found::unchanging(snapshot))
    };
    // SAFETY: valid by the contract.
    guarded(|| unsafe { internal(error) }, || unsafe { opened(options, error, find) })
}

/// Opens a policy, and follows its source: a thread checks it every `poll_milliseconds`. A valid version applies from the next
/// decision. If a version is not valid, or the source is gone, the last good policy stays, and `pcl_last_error` returns the
/// reason.
///
/// `source` is the path of a file: a JSON document, or a compiled policy. If the library was built with the feature
/// `registry`, it may also be the URL of a registry, such as `sqlite:/var/lib/portcullis/registry.db`.
///
/// Returns NULL on failure, also if the source is not valid now, and stores the reason in `error` unless `error` is NULL.
/// Free the reason with `pcl_string_free`. `options` may be NULL for the defaults. With `PCL_OPEN_UNAVAILABLE`, a source that
/// is not valid now is not a failure: requests are denied with 503 until it is valid, and the reason is stored in `error`.
///
/// Threads and forks: starts no thread, and keeps no file open. The first use of the policy in each process starts its
/// thread, so a server may open the policy and then fork. A child continues with the policy of its parent if the source has
/// not changed since it was opened. Otherwise its first use reads the source, and requests are denied with 503 while the
/// source is not valid. Its generations and counters start again.
///
/// # Safety
///
/// Every pointer is NULL or valid, and the lengths are right.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_live_open(
    source: pcl_text,
    options: *const pcl_options,
    error: *mut *mut pcl_string,
) -> *mut pcl_policy {
    let find = |options: &PolicyOptions| {
        // SAFETY: valid by the contract.
        let source = Source::named(unsafe { path_of(source) }?)?;
        let (watched, snapshot) = Watched::open(source, options.poll);
        let (authorizer, unavailable) = match snapshot {
            Ok(snapshot) => (Authorizer::new(snapshot), None),
            Err(why) if options.may_be_unavailable => (Authorizer::unavailable(), Some(why)),
            Err(why) => return Err(why),
        };
        Ok(Found { authorizer, watched: Some(watched), unavailable })
    };
    // SAFETY: valid by the contract.
    guarded(|| unsafe { internal(error) }, || unsafe { opened(options, error, find) })
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

/// A policy that was found.
struct Found {
    authorizer: Authorizer,
    /// `None` if the policy never changes.
    watched: Option<Watched>,
    /// Why the policy is not available yet.
    unavailable: Option<String>,
}

impl Found {
    fn unchanging(snapshot: Snapshot) -> Self {
        Self { authorizer: Authorizer::new(snapshot), watched: None, unavailable: None }
    }
}

/// Reads the options, finds the policy, and returns its handle.
///
/// # Safety
///
/// Every pointer is NULL or valid.
unsafe fn opened(
    options: *const pcl_options,
    error: *mut *mut pcl_string,
    find: impl FnOnce(&PolicyOptions) -> Result<Found, String>,
) -> *mut pcl_policy {
    // SAFETY: valid by the contract.
    unsafe { clear(error) };
    // SAFETY: valid by the contract.
    let read = unsafe { PolicyOptions::read(options) }.map_err(|error| error.to_string());
    let (policy, why) = match read.and_then(|options| Ok((find(&options)?, options))) {
        Ok((Found { authorizer, watched, unavailable }, options)) => {
            (Box::into_raw(Box::new(pcl_policy::new(authorizer, options, watched))), unavailable)
        }
        Err(why) => (ptr::null_mut(), Some(why)),
    };
    if let Some(why) = why {
        // SAFETY: valid by the contract.
        unsafe { store(error, why) };
    }
    policy
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
/// `path` is valid during `'a`.
unsafe fn path_of<'a>(path: pcl_text) -> Result<&'a str, String> {
    // SAFETY: valid by the contract.
    let path = unsafe { text(path, "path") }.and_then(|path| needed(path, "path"));
    match path.map_err(|error| error.to_string())? {
        "" => Err("`path`: expected the path of a file, found an empty text".to_owned()),
        path if path.contains('\0') => Err("`path`: expected the path of a file, found a zero byte".to_owned()),
        path => Ok(path),
    }
}

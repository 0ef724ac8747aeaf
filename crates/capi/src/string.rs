//! Texts that the library owns.

use crate::abi::pcl_text;
use crate::guard::guarded;

/// A text of the library. Free it with `pcl_string_free`.
#[allow(non_camel_case_types, reason = "the name of C")]
pub struct pcl_string(Box<str>);

/// Returns an owned text, for the caller to free.
pub(crate) fn owned(text: impl Into<Box<str>>) -> *mut pcl_string {
    Box::into_raw(Box::new(pcl_string(text.into())))
}

/// Stores an error for the caller to free; nothing if `error` is NULL.
///
/// # Safety
///
/// `error` is NULL, or a pointer may be written there.
pub(crate) unsafe fn store(error: *mut *mut pcl_string, text: impl Into<Box<str>>) {
    if !error.is_null() && error.is_aligned() {
        // SAFETY: not NULL, aligned, and writable by the contract.
        unsafe { error.write(owned(text)) }
    }
}

/// Sets `*error` to NULL before a function that may fail.
///
/// # Safety
///
/// See [`store`].
pub(crate) unsafe fn clear(error: *mut *mut pcl_string) {
    if !error.is_null() && error.is_aligned() {
        // SAFETY: as in `store`.
        unsafe { error.write(std::ptr::null_mut()) }
    }
}

/// Returns the text of `string`: UTF-8 without a terminator, valid until `string` is freed. Missing if `string` is NULL.
///
/// Threads: any number at once.
///
/// # Safety
///
/// `string` is NULL, or was returned by this library and not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_string_text(string: *const pcl_string) -> pcl_text {
    guarded(
        || pcl_text::MISSING,
        || {
            // SAFETY: NULL or valid by the contract.
            unsafe { string.as_ref() }.map_or(pcl_text::MISSING, |string| pcl_text::of(&string.0))
        },
    )
}

/// Frees `string`. NULL is ignored.
///
/// # Safety
///
/// `string` is NULL, or was returned by this library and not freed. No thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_string_free(string: *mut pcl_string) {
    guarded(
        || (),
        || {
            if !string.is_null() {
                // SAFETY: `owned` allocated it, and it was not freed by the contract.
                drop(unsafe { Box::from_raw(string) });
            }
        },
    );
}

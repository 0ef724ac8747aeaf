//! Borrows what a caller passes by pointer and length, and checks it first.

use std::borrow::Cow;

use crate::abi::{PCL_MAX_TEXT, StructSize, pcl_text};
use portcullis::base::bytes::all;

/// Why an argument is invalid. Names the argument, and repeats nothing of its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Invalid(pub(crate) Cow<'static, str>);

impl Invalid {
    pub(crate) fn new(why: impl Into<Cow<'static, str>>) -> Self {
        Self(why.into())
    }
}

/// Borrows the bytes of an argument called `name`. `None` if they are missing.
///
/// # Safety
///
/// If `text.data` is not NULL, `text.length` bytes are readable there, and nobody writes to them during `'a`.
#[inline]
pub(crate) unsafe fn bytes<'a>(text: pcl_text, name: &str, max: usize) -> Result<Option<&'a [u8]>, Invalid> {
    match (text.data.is_null(), text.length) {
        (true, 0) => Ok(None),
        (true, length) => Err(null(name, length)),
        (false, length) if length > max => Err(too_long(name, max, length)),
        // SAFETY: not NULL, shorter than `isize::MAX`, and readable by the contract.
        (false, length) => Ok(Some(unsafe { std::slice::from_raw_parts(text.data.cast(), length) })),
    }
}

/// Borrows the text of an argument called `name`. `None` if it is missing.
///
/// # Safety
///
/// See [`bytes`].
#[inline]
pub(crate) unsafe fn text<'a>(text: pcl_text, name: &str) -> Result<Option<&'a str>, Invalid> {
    // SAFETY: the contract is the same.
    match unsafe { ascii(text) } {
        // Nearly all texts.
        Some(text) => Ok(Some(text)),
        // SAFETY: the contract is the same.
        None => unsafe { other_text(text, name) },
    }
}

/// Borrows a text of ASCII characters that is neither missing nor too long. `None` for any other.
///
/// # Safety
///
/// See [`bytes`].
#[inline]
unsafe fn ascii<'a>(text: pcl_text) -> Option<&'a str> {
    if text.data.is_null() || text.length > PCL_MAX_TEXT {
        return None;
    }
    // SAFETY: not NULL, shorter than `isize::MAX`, and readable by the contract.
    let bytes: &[u8] = unsafe { std::slice::from_raw_parts(text.data.cast(), text.length) };
    if !all(bytes, |lanes| lanes.within(0, 0x7f)) {
        return None;
    }
    // SAFETY: ASCII is UTF-8.
    Some(unsafe { std::str::from_utf8_unchecked(bytes) })
}

/// Borrows a text that is not ASCII, or missing, or invalid.
///
/// # Safety
///
/// See [`bytes`].
#[cold]
unsafe fn other_text<'a>(text: pcl_text, name: &str) -> Result<Option<&'a str>, Invalid> {
    // SAFETY: the contract is the same.
    let bytes = unsafe { bytes(text, name, PCL_MAX_TEXT) }?;
    bytes.map(|bytes| utf8(bytes).map_err(|error| not_utf8(name, error))).transpose()
}

/// Like [`std::str::from_utf8`], and faster for short texts: nearly all are ASCII.
#[inline]
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, std::str::Utf8Error> {
    if all(bytes, |lanes| lanes.within(0, 0x7f)) {
        // SAFETY: ASCII is UTF-8.
        Ok(unsafe { std::str::from_utf8_unchecked(bytes) })
    } else {
        std::str::from_utf8(bytes)
    }
}

#[cold]
fn null(name: &str, length: usize) -> Invalid {
    Invalid::new(format!("`{name}`: expected {length} bytes, found NULL; help: set the length to 0"))
}

#[cold]
fn too_long(name: &str, max: usize, found: usize) -> Invalid {
    Invalid::new(format!("`{name}`: expected at most {max} bytes, found {found}"))
}

#[cold]
fn not_utf8(name: &str, error: std::str::Utf8Error) -> Invalid {
    Invalid::new(format!("`{name}`: expected UTF-8, found another byte at offset {}", error.valid_up_to()))
}

/// Borrows a list of `count` elements.
///
/// # Safety
///
/// If `first` is not NULL, `count` elements are readable there, and nobody writes to them during `'a`.
pub(crate) unsafe fn list<'a, T>(first: *const T, count: usize, name: &str, max: usize) -> Result<&'a [T], Invalid> {
    if count == 0 {
        return Ok(&[]);
    }
    if count > max {
        return Err(Invalid::new(format!("`{name}`: expected at most {max} elements, found {count}")));
    }
    if first.is_null() || !first.is_aligned() {
        return Err(Invalid::new(format!("`{name}`: expected {count} elements, found NULL or an unaligned pointer")));
    }
    // SAFETY: not NULL, aligned, short, and readable by the contract.
    Ok(unsafe { std::slice::from_raw_parts(first, count) })
}

/// Borrows a value. `None` if the pointer is NULL.
///
/// # Safety
///
/// If `pointer` is not NULL, a `T` is readable there, and nobody writes to it during `'a`.
pub(crate) unsafe fn value<'a, T>(pointer: *const T, name: &str) -> Result<Option<&'a T>, Invalid> {
    if !pointer.is_null() && !pointer.is_aligned() {
        return Err(Invalid::new(format!("`{name}`: expected an aligned pointer, found an unaligned one")));
    }
    // SAFETY: aligned, and readable by the contract if it is not NULL.
    Ok(unsafe { pointer.as_ref() })
}

/// Borrows a struct whose first field is its size. `None` if the pointer is NULL.
///
/// # Safety
///
/// If `pointer` is not NULL, the size is readable there and as many bytes as it says, and nobody writes to them during `'a`.
pub(crate) unsafe fn sized<'a, T: StructSize>(pointer: *const T, name: &str) -> Result<Option<&'a T>, Invalid> {
    // SAFETY: the contract covers the first field.
    let size = unsafe { value(pointer.cast::<usize>(), name) }?;
    match size {
        None => Ok(None),
        Some(&found) if found < size_of::<T>() => {
            let expected = size_of::<T>();
            Err(Invalid::new(format!("`{name}.struct_size`: expected at least {expected}, found {found}")))
        }
        // SAFETY: the caller says that the whole struct is there.
        Some(_) => unsafe { value(pointer, name) },
    }
}

/// Returns the argument, or the error that it is NULL.
pub(crate) fn needed<T>(argument: Option<T>, name: &str) -> Result<T, Invalid> {
    argument.ok_or_else(|| Invalid::new(format!("`{name}`: expected a value, found NULL")))
}

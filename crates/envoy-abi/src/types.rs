//! The types of the ABI.

use std::ffi::{c_char, c_void};

/// An object of Envoy: the configuration of a filter, or a filter of one stream.
pub(crate) type EnvoyPointer = *mut c_void;

/// An object of the module. Envoy only passes it back.
pub(crate) type ModulePointer = *const c_void;

/// Bytes that Envoy owns: valid until the event returns, or until a function changes what they are part of.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct EnvoyBuffer {
    pub(crate) data: *const c_char,
    pub(crate) length: usize,
}

/// Bytes that the module owns: Envoy copies them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModuleBuffer {
    data: *const c_char,
    length: usize,
}

/// A header that the module owns.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModuleHeader {
    name: ModuleBuffer,
    value: ModuleBuffer,
}

impl EnvoyBuffer {
    /// No bytes.
    pub(crate) const EMPTY: Self = Self { data: std::ptr::null(), length: 0 };

    /// Returns the bytes; none if the pointer is NULL.
    ///
    /// # Safety
    ///
    /// The bytes are valid and do not change during `'b`.
    pub(crate) unsafe fn bytes<'b>(self) -> &'b [u8] {
        if self.data.is_null() {
            return &[];
        }
        // SAFETY: not NULL, and valid by the contract.
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.length) }
    }
}

impl ModuleBuffer {
    /// No value: removes a header.
    pub(crate) const MISSING: Self = Self { data: std::ptr::null(), length: 0 };

    /// Points to `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr().cast(), length: bytes.len() }
    }
}

impl ModuleHeader {
    /// Points to a header.
    pub(crate) fn of(name: &str, value: &[u8]) -> Self {
        Self { name: ModuleBuffer::of(name.as_bytes()), value: ModuleBuffer::of(value) }
    }
}

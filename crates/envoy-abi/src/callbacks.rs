//! The functions of Envoy that a filter calls, found by name in the running process.
//!
//! A module could also declare them and let the loader find them. Then a missing function ends the process at the first
//! call, or stops the load with the loader's words.

use std::ffi::{CStr, c_void};

use crate::header::Header;
use crate::types::{EnvoyBuffer, EnvoyPointer, ModuleBuffer, ModuleHeader, ModulePointer};

/// Finds a function by its name: NULL if there is none.
pub(crate) type Find<'f> = &'f dyn Fn(&CStr) -> *mut c_void;

macro_rules! callbacks {
    ($($(#[$doc:meta])* $field:ident = $name:literal: fn($($argument:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        /// The functions.
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct Callbacks {
            $($(#[$doc])* pub(crate) $field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Callbacks {
            /// The names of the functions.
            pub(crate) const NAMES: &[&CStr] = &[$($name),*];

            /// Finds all functions, or returns the names of those that are missing.
            pub(crate) fn find(find: Find<'_>) -> Result<Self, Vec<&'static CStr>> {
                let missing: Vec<_> = Self::NAMES.iter().copied().filter(|name| find(name).is_null()).collect();
                if !missing.is_empty() {
                    return Err(missing);
                }
                Ok(Self {
                    $(
                        // SAFETY: not NULL, and Envoy defines the function of this name with this signature in each
                        // version of the ABI that has all of them.
                        $field: unsafe {
                            std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($argument),*) $(-> $result)?>(find($name))
                        },
                    )*
                })
            }
        }
    };
}

callbacks! {
    log = c"envoy_dynamic_module_callback_log": fn(u32, ModuleBuffer);
    define_counter = c"envoy_dynamic_module_callback_http_filter_config_define_counter":
        fn(EnvoyPointer, ModuleBuffer, *mut ModuleBuffer, usize, *mut usize) -> u32;
    increment_counter = c"envoy_dynamic_module_callback_http_filter_increment_counter":
        fn(EnvoyPointer, usize, *mut ModuleBuffer, usize, u64) -> u32;
    define_gauge = c"envoy_dynamic_module_callback_http_filter_config_define_gauge":
        fn(EnvoyPointer, ModuleBuffer, *mut ModuleBuffer, usize, *mut usize) -> u32;
    set_gauge = c"envoy_dynamic_module_callback_http_filter_set_gauge":
        fn(EnvoyPointer, usize, *mut ModuleBuffer, usize, u64) -> u32;
    header_count = c"envoy_dynamic_module_callback_http_get_headers_size": fn(EnvoyPointer, u32) -> usize;
    headers = c"envoy_dynamic_module_callback_http_get_headers": fn(EnvoyPointer, u32, *mut Header<'_>) -> bool;
    set_header = c"envoy_dynamic_module_callback_http_set_header":
        fn(EnvoyPointer, u32, ModuleBuffer, ModuleBuffer) -> bool;
    send_response = c"envoy_dynamic_module_callback_http_send_response":
        fn(EnvoyPointer, u32, *mut ModuleHeader, usize, ModuleBuffer, ModuleBuffer);
    body_length = c"envoy_dynamic_module_callback_http_get_body_size": fn(EnvoyPointer, u32) -> usize;
    body_chunk_count = c"envoy_dynamic_module_callback_http_get_body_chunks_size": fn(EnvoyPointer, u32) -> usize;
    body_chunks = c"envoy_dynamic_module_callback_http_get_body_chunks":
        fn(EnvoyPointer, u32, *mut EnvoyBuffer) -> bool;
    /// Whether the received body is the buffered one: an earlier filter buffered it.
    received_is_buffered = c"envoy_dynamic_module_callback_http_received_buffered_request_body": fn(EnvoyPointer) -> bool;
    buffer_limit = c"envoy_dynamic_module_callback_http_get_buffer_limit": fn(EnvoyPointer) -> u64;
    set_buffer_limit = c"envoy_dynamic_module_callback_http_set_buffer_limit": fn(EnvoyPointer, u64);
    set_metadata_text = c"envoy_dynamic_module_callback_http_set_dynamic_metadata_string":
        fn(EnvoyPointer, ModuleBuffer, ModuleBuffer, ModuleBuffer);
    set_metadata_number = c"envoy_dynamic_module_callback_http_set_dynamic_metadata_number":
        fn(EnvoyPointer, ModuleBuffer, ModuleBuffer, f64);
    set_metadata_flag = c"envoy_dynamic_module_callback_http_set_dynamic_metadata_bool":
        fn(EnvoyPointer, ModuleBuffer, ModuleBuffer, bool);
    append_metadata_number = c"envoy_dynamic_module_callback_http_add_dynamic_metadata_list_number":
        fn(EnvoyPointer, ModuleBuffer, ModuleBuffer, f64) -> bool;
    route_configuration = c"envoy_dynamic_module_callback_get_most_specific_route_config":
        fn(EnvoyPointer) -> ModulePointer;
}

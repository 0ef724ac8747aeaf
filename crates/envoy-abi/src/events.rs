//! The functions that Envoy calls. [`export!`](crate::export) gives them their names.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::host::host;
use crate::log::{Level, log};
use crate::module::{Call, Flow, Module};
use crate::stream::{Definitions, Stream};
use crate::types::{EnvoyBuffer, EnvoyPointer, ModulePointer};

#[cfg(test)]
mod tests;

/// A filter of one stream.
struct Slot<M: Module> {
    /// INVARIANT: valid as long as the slot. Envoy frees a configuration after the last of its filters.
    configuration: *const M::Configuration,
    state: M::State,
    /// Whether the client has received a response of the module.
    is_answered: bool,
}

/// The part of a request that an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The headers.
    Headers,
    /// A part of the body.
    Body,
    /// The trailers.
    Trailers,
}

impl Part {
    /// What Envoy does after a response: it stops, and drops what follows.
    const fn stop(self) -> u32 {
        match self {
            Self::Headers | Self::Trailers => 1,
            Self::Body => 3,
        }
    }
}

/// What Envoy does if a request continues.
pub const CONTINUE: u32 = 0;

/// What Envoy does while a request waits: it stops, and buffers the body.
const WAIT: u32 = 1;

/// Runs `body`; returns `None` if it panics.
fn guarded<T>(body: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(body))
        .map_err(|payload| {
            // Dropping it may panic again.
            std::mem::forget(payload);
        })
        .ok()
}

/// Creates the configuration of a filter; NULL if it is not valid.
///
/// # Safety
///
/// Envoy calls this function with its own arguments.
pub unsafe fn configure<M: Module>(pointer: EnvoyPointer, text: EnvoyBuffer) -> ModulePointer {
    created(|| {
        let host = host().ok_or("the module was not loaded by Envoy")?;
        // SAFETY: valid during this event by the contract.
        let (define, text) = unsafe { (Definitions::new(host, pointer), text.bytes()) };
        M::configure(&define, text)
    })
}

/// Creates the configuration of a route; NULL if it is not valid.
///
/// # Safety
///
/// Envoy calls this function with its own arguments.
pub unsafe fn configure_route<M: Module>(text: EnvoyBuffer) -> ModulePointer {
    // SAFETY: valid during this event by the contract.
    created(|| M::configure_route(unsafe { text.bytes() }))
}

fn created<T>(create: impl FnOnce() -> Result<T, String>) -> ModulePointer {
    match guarded(create).unwrap_or_else(|| Err("the module failed".to_owned())) {
        Ok(value) => Box::into_raw(Box::new(value)).cast_const().cast(),
        Err(error) => {
            log(Level::Error, &error);
            std::ptr::null()
        }
    }
}

/// Frees the configuration of a filter.
///
/// # Safety
///
/// `configuration` was returned by [`configure`] for this module, and is not used again.
pub unsafe fn free_configuration<M: Module>(configuration: ModulePointer) {
    // SAFETY: as the contract says.
    unsafe { free::<M::Configuration>(configuration) };
}

/// Frees the configuration of a route.
///
/// # Safety
///
/// `route` was returned by [`configure_route`] for this module, and is not used again.
pub unsafe fn free_route<M: Module>(route: ModulePointer) {
    // SAFETY: as the contract says.
    unsafe { free::<M::Route>(route) };
}

/// Frees the filter of a stream.
///
/// # Safety
///
/// `filter` was returned by [`create`] for this module, and is not used again.
pub unsafe fn free_filter<M: Module>(filter: ModulePointer) {
    // SAFETY: as the contract says.
    unsafe { free::<Slot<M>>(filter) };
}

/// # Safety
///
/// `pointer` is NULL, or a `Box<T>` that is not used again.
unsafe fn free<T>(pointer: ModulePointer) {
    if !pointer.is_null() {
        // SAFETY: as the contract says.
        let _ = guarded(|| drop(unsafe { Box::from_raw(pointer.cast_mut().cast::<T>()) }));
    }
}

/// Creates the filter of a stream.
///
/// # Safety
///
/// `configuration` was returned by [`configure`] for this module.
pub unsafe fn create<M: Module>(configuration: ModulePointer) -> ModulePointer {
    let slot = || Slot::<M> { configuration: configuration.cast(), state: M::State::default(), is_answered: false };
    guarded(|| Box::into_raw(Box::new(slot())).cast_const().cast()).unwrap_or(std::ptr::null())
}

/// Handles a part of a request. Returns what Envoy does next.
///
/// # Safety
///
/// `filter` was returned by [`create`] for this module, and `stream` is Envoy's filter of the same stream.
pub unsafe fn request<M: Module>(stream: EnvoyPointer, filter: ModulePointer, part: Part, is_end: bool) -> u32 {
    // A filter exists only if Envoy was found.
    let (Some(host), false) = (host(), filter.is_null()) else { return part.stop() };
    let flow = {
        // SAFETY: valid by the contract, and used by one event at a time: no event handler of a response uses it, which Envoy
        // may call while a response is sent.
        let slot = unsafe { &mut *filter.cast_mut().cast::<Slot<M>>() };
        if slot.is_answered {
            return part.stop();
        }
        // SAFETY: valid during this event, and the only one.
        let mut stream = unsafe { Stream::new(host, stream) };
        let flow = guarded(|| {
            // SAFETY: valid by the invariant.
            let configuration = unsafe { &*slot.configuration };
            // SAFETY: NULL, or returned by `configure_route`. Envoy keeps the route during the event.
            let route = unsafe { stream.route().cast::<M::Route>().as_ref() };
            let call = &mut Call { configuration, route, state: &mut slot.state, stream: &mut stream };
            match part {
                Part::Headers => M::headers(call, is_end),
                Part::Body => M::body(call, is_end),
                Part::Trailers => M::trailers(call),
            }
        });
        let flow = flow.unwrap_or_else(|| Flow::Respond(M::failed()));
        slot.is_answered = matches!(flow, Flow::Respond(_));
        flow
    };
    match flow {
        Flow::Continue => CONTINUE,
        Flow::Wait => WAIT,
        Flow::Respond(response) => {
            // SAFETY: valid during this event. The slot is not used again: Envoy may free it now.
            unsafe { Stream::new(host, stream) }.respond(&response);
            part.stop()
        }
    }
}

/// Exports functions that Envoy requires, and that do nothing.
#[doc(hidden)]
#[macro_export]
macro_rules! unused_events {
    ($($name:ident($($argument:ty),* $(,)?) $(-> $result:ty = $value:expr)?;)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($(_: $argument),*) $(-> $result)? {
                $($value)?
            }
        )*
    };
}

/// Exports the functions of a [`Module`] under the names that Envoy looks up.
#[macro_export]
macro_rules! export {
    ($module:ty) => {
        mod exported {
            use super::*;
            use std::ffi::{c_char, c_void};
            use $crate::events::{self, Part};

            #[unsafe(no_mangle)]
            extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
                $crate::init()
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
                configuration: *mut c_void,
                _name: $crate::events::Text,
                text: $crate::events::Text,
            ) -> *const c_void {
                // SAFETY: Envoy calls this function.
                unsafe { events::configure::<$module>(configuration, text) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(configuration: *const c_void) {
                // SAFETY: Envoy calls this function.
                unsafe { events::free_configuration::<$module>(configuration) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new(
                _name: $crate::events::Text,
                text: $crate::events::Text,
            ) -> *const c_void {
                // SAFETY: Envoy calls this function.
                unsafe { events::configure_route::<$module>(text) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(route: *const c_void) {
                // SAFETY: Envoy calls this function.
                unsafe { events::free_route::<$module>(route) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(
                configuration: *const c_void,
                _stream: *mut c_void,
            ) -> *const c_void {
                // SAFETY: Envoy calls this function.
                unsafe { events::create::<$module>(configuration) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(filter: *const c_void) {
                // SAFETY: Envoy calls this function.
                unsafe { events::free_filter::<$module>(filter) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
                stream: *mut c_void,
                filter: *const c_void,
                is_end: bool,
            ) -> u32 {
                // SAFETY: Envoy calls this function.
                unsafe { events::request::<$module>(stream, filter, Part::Headers, is_end) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_body(
                stream: *mut c_void,
                filter: *const c_void,
                is_end: bool,
            ) -> u32 {
                // SAFETY: Envoy calls this function.
                unsafe { events::request::<$module>(stream, filter, Part::Body, is_end) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(
                stream: *mut c_void,
                filter: *const c_void,
            ) -> u32 {
                // SAFETY: Envoy calls this function.
                unsafe { events::request::<$module>(stream, filter, Part::Trailers, true) }
            }

            // Envoy requires these functions. The filter changes no response, and calls no other service.
            $crate::unused_events! {
                envoy_dynamic_module_on_http_filter_response_headers(
                    *mut c_void, *const c_void, bool,
                ) -> u32 = events::CONTINUE;
                envoy_dynamic_module_on_http_filter_response_body(
                    *mut c_void, *const c_void, bool,
                ) -> u32 = events::CONTINUE;
                envoy_dynamic_module_on_http_filter_response_trailers(
                    *mut c_void, *const c_void,
                ) -> u32 = events::CONTINUE;
                envoy_dynamic_module_on_http_filter_stream_complete(*mut c_void, *const c_void);
                envoy_dynamic_module_on_http_filter_scheduled(*mut c_void, *const c_void, u64);
                envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(
                    *mut c_void, *const c_void,
                );
                envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(
                    *mut c_void, *const c_void,
                );
                envoy_dynamic_module_on_http_filter_http_callout_done(
                    *mut c_void, *const c_void, u64, u32, *const c_void, usize, *const c_void, usize,
                );
                envoy_dynamic_module_on_http_filter_http_stream_headers(
                    *mut c_void, *const c_void, u64, *const c_void, usize, bool,
                );
                envoy_dynamic_module_on_http_filter_http_stream_data(
                    *mut c_void, *const c_void, u64, *const c_void, usize, bool,
                );
                envoy_dynamic_module_on_http_filter_http_stream_trailers(
                    *mut c_void, *const c_void, u64, *const c_void, usize,
                );
                envoy_dynamic_module_on_http_filter_http_stream_complete(*mut c_void, *const c_void, u64);
                envoy_dynamic_module_on_http_filter_http_stream_reset(*mut c_void, *const c_void, u64, u32);
            }
        }
    };
}

pub use crate::types::EnvoyBuffer as Text;

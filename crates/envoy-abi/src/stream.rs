//! Envoy's objects: the request of a stream, and the statistics of a filter.

use std::ffi::c_void;
use std::marker::PhantomData;

use smallvec::SmallVec;

use crate::callbacks::Callbacks;
use crate::header::{Header, Headers};
use crate::response::Response;
use crate::types::{EnvoyBuffer, EnvoyPointer, ModuleBuffer, ModuleHeader, ModulePointer};

/// The request of a stream, during one event.
#[derive(Debug)]
pub struct Stream<'e> {
    host: &'static Callbacks,
    pointer: EnvoyPointer,
    event: PhantomData<&'e mut c_void>,
}

/// A map of headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Map {
    /// The headers of the request.
    Headers = 0,
    /// The trailers of the request.
    Trailers = 1,
}

/// A counter in Envoy's statistics.
#[derive(Debug, Clone, Copy)]
pub struct Counter(usize);

/// A gauge in Envoy's statistics.
#[derive(Debug, Clone, Copy)]
pub struct Gauge(usize);

/// Envoy did not define a statistic.
#[derive(Debug, Clone, thiserror::Error)]
#[error("Envoy does not define the statistic `{0}`")]
pub struct Undefined(String);

/// Defines the statistics of a filter, while it is configured.
#[derive(Debug)]
pub struct Definitions<'e> {
    host: &'static Callbacks,
    pointer: EnvoyPointer,
    event: PhantomData<&'e c_void>,
}

const RECEIVED_BODY: u32 = 0;
const BUFFERED_BODY: u32 = 1;

impl Stream<'_> {
    /// # Safety
    ///
    /// `pointer` is Envoy's filter, during one of its events. No other `Stream` exists for it.
    pub(crate) unsafe fn new(host: &'static Callbacks, pointer: EnvoyPointer) -> Self {
        Self { host, pointer, event: PhantomData }
    }

    /// Returns the headers or trailers; none if there is no such map.
    pub fn map(&self, map: Map) -> Headers<'_> {
        // SAFETY: the pointer is valid during the event.
        let count = unsafe { (self.host.header_count)(self.pointer, map as u32) };
        let mut headers = Headers::from_elem(Header::EMPTY, count);
        // SAFETY: the array has room for all headers. Their texts are valid until the event ends or a header changes, which
        // needs `&mut self`.
        if count > 0 && !unsafe { (self.host.headers)(self.pointer, map as u32, headers.as_mut_ptr()) } {
            headers.clear();
        }
        headers
    }

    /// Replaces all headers of this name by one, or removes them. Returns whether it is done.
    pub fn set_header(&mut self, map: Map, name: &str, value: Option<&[u8]>) -> bool {
        let value = value.map_or(ModuleBuffer::MISSING, ModuleBuffer::of);
        // SAFETY: the pointer is valid during the event, and Envoy copies the texts.
        unsafe { (self.host.set_header)(self.pointer, map as u32, ModuleBuffer::of(name.as_bytes()), value) }
    }

    /// Returns the length of the body that has arrived.
    pub fn body_length(&self) -> usize {
        // SAFETY: the pointer is valid during the event.
        let length = |body| unsafe { (self.host.body_length)(self.pointer, body) };
        self.bodies().iter().map(|body| length(*body)).sum()
    }

    /// Returns the body that has arrived.
    pub fn body(&self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.body_length());
        for body in self.bodies() {
            // SAFETY: the pointer is valid during the event.
            let count = unsafe { (self.host.body_chunk_count)(self.pointer, *body) };
            // Few bodies have more chunks than these.
            let mut chunks: SmallVec<[EnvoyBuffer; 16]> = SmallVec::from_elem(EnvoyBuffer::EMPTY, count);
            // SAFETY: the array has room for all chunks.
            if count > 0 && unsafe { (self.host.body_chunks)(self.pointer, *body, chunks.as_mut_ptr()) } {
                for chunk in &chunks {
                    // SAFETY: the chunk is valid until the event ends.
                    whole.extend_from_slice(unsafe { chunk.bytes() });
                }
            }
        }
        whole
    }

    /// The parts of the body, in order.
    fn bodies(&self) -> &'static [u32] {
        // SAFETY: the pointer is valid during the event.
        if unsafe { (self.host.received_is_buffered)(self.pointer) } {
            &[BUFFERED_BODY]
        } else {
            &[BUFFERED_BODY, RECEIVED_BODY]
        }
    }

    /// Lets Envoy buffer at least this many bytes of a body.
    pub fn raise_buffer_limit(&mut self, bytes: u64) {
        // SAFETY: the pointer is valid during the event.
        unsafe {
            if (self.host.buffer_limit)(self.pointer) < bytes {
                (self.host.set_buffer_limit)(self.pointer, bytes);
            }
        }
    }

    /// Sets a text of the dynamic metadata.
    pub fn set_metadata_text(&mut self, namespace: &str, key: &str, value: &str) {
        let [namespace, key, value] = [namespace, key, value].map(|text| ModuleBuffer::of(text.as_bytes()));
        // SAFETY: the pointer is valid during the event, and Envoy copies the texts.
        unsafe { (self.host.set_metadata_text)(self.pointer, namespace, key, value) }
    }

    /// Sets a number of the dynamic metadata.
    pub fn set_metadata_number(&mut self, namespace: &str, key: &str, value: f64) {
        let [namespace, key] = [namespace, key].map(|text| ModuleBuffer::of(text.as_bytes()));
        // SAFETY: as above.
        unsafe { (self.host.set_metadata_number)(self.pointer, namespace, key, value) }
    }

    /// Sets a flag of the dynamic metadata.
    pub fn set_metadata_flag(&mut self, namespace: &str, key: &str, value: bool) {
        let [namespace, key] = [namespace, key].map(|text| ModuleBuffer::of(text.as_bytes()));
        // SAFETY: as above.
        unsafe { (self.host.set_metadata_flag)(self.pointer, namespace, key, value) }
    }

    /// Appends a number to a list of the dynamic metadata. Returns whether it is done.
    pub fn append_metadata_number(&mut self, namespace: &str, key: &str, value: f64) -> bool {
        let [namespace, key] = [namespace, key].map(|text| ModuleBuffer::of(text.as_bytes()));
        // SAFETY: as above.
        unsafe { (self.host.append_metadata_number)(self.pointer, namespace, key, value) }
    }

    /// Adds to a counter of the filter.
    pub fn add(&self, counter: Counter, amount: u64) {
        // SAFETY: the pointer is valid during the event, and a counter without labels needs none.
        // The only failure is an unknown counter, and `Definitions` returned this one.
        let _ = unsafe { (self.host.increment_counter)(self.pointer, counter.0, std::ptr::null_mut(), 0, amount) };
    }

    /// Sets a gauge of the filter.
    pub fn set(&self, gauge: Gauge, value: u64) {
        // SAFETY: as above.
        let _ = unsafe { (self.host.set_gauge)(self.pointer, gauge.0, std::ptr::null_mut(), 0, value) };
    }

    /// Returns the configuration of the most specific route; NULL if it has none.
    pub(crate) fn route(&self) -> ModulePointer {
        // SAFETY: the pointer is valid during the event.
        unsafe { (self.host.route_configuration)(self.pointer) }
    }

    /// Sends a response to the client. Envoy may free the filter before this function returns.
    pub(crate) fn respond(self, response: &Response) {
        let Response { status, headers, body, details } = response;
        let mut headers: Vec<_> = headers.iter().map(|(name, value)| ModuleHeader::of(name, value)).collect();
        let [body, details] = [body, details].map(|text| ModuleBuffer::of(text.as_bytes()));
        // SAFETY: the pointer is valid until this call, and Envoy copies the texts.
        unsafe {
            (self.host.send_response)(
                self.pointer,
                u32::from(*status),
                headers.as_mut_ptr(),
                headers.len(),
                body,
                details,
            );
        }
    }
}

impl Definitions<'_> {
    /// # Safety
    ///
    /// `pointer` is Envoy's configuration of the filter, while it is created.
    pub(crate) unsafe fn new(host: &'static Callbacks, pointer: EnvoyPointer) -> Self {
        Self { host, pointer, event: PhantomData }
    }

    /// Defines a counter.
    ///
    /// # Errors
    ///
    /// If Envoy refuses it.
    pub fn counter(&self, name: &str) -> Result<Counter, Undefined> {
        let mut id = 0;
        let text = ModuleBuffer::of(name.as_bytes());
        // SAFETY: the pointer is valid while the filter is configured, and Envoy copies the name.
        let result = unsafe { (self.host.define_counter)(self.pointer, text, std::ptr::null_mut(), 0, &raw mut id) };
        if result == 0 { Ok(Counter(id)) } else { Err(Undefined(name.to_owned())) }
    }

    /// Defines a gauge.
    ///
    /// # Errors
    ///
    /// If Envoy refuses it.
    pub fn gauge(&self, name: &str) -> Result<Gauge, Undefined> {
        let mut id = 0;
        let text = ModuleBuffer::of(name.as_bytes());
        // SAFETY: as above.
        let result = unsafe { (self.host.define_gauge)(self.pointer, text, std::ptr::null_mut(), 0, &raw mut id) };
        if result == 0 { Ok(Gauge(id)) } else { Err(Undefined(name.to_owned())) }
    }
}

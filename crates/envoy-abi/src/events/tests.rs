//! Calls the functions of a module as Envoy does, with an Envoy that keeps one request in memory.
#![allow(clippy::panic, clippy::undocumented_unsafe_blocks, reason = "a helper of tests fails as a test does")]

use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

use super::{CONTINUE, Part, configure, configure_route, create, free_configuration, free_filter, request};
use crate::callbacks::Callbacks;
use crate::header::Header;
use crate::module::{Call, Flow, Module};
use crate::response::Response;
use crate::stream::{Definitions, Map};
use crate::types::{EnvoyBuffer, EnvoyPointer, ModuleBuffer, ModuleHeader, ModulePointer};

/// Envoy's side of one stream. SAFETY of this file: each pointer to Envoy leads to one of these during the test.
#[derive(Default)]
struct Envoy {
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    buffered: Vec<u8>,
    received: Vec<u8>,
    is_received_buffered: bool,
    limit: u64,
    /// Statuses and bodies.
    responses: Vec<(u32, String)>,
    /// The filter that is freed while a response is sent.
    freed: Option<ModulePointer>,
}

fn envoy<'a>(pointer: EnvoyPointer) -> &'a mut Envoy {
    unsafe { &mut *pointer.cast::<Envoy>() }
}

fn bytes(buffer: ModuleBuffer) -> Vec<u8> {
    // Both kinds of buffers are a pointer and a length.
    let buffer: EnvoyBuffer = unsafe { std::mem::transmute(buffer) };
    unsafe { buffer.bytes() }.to_vec()
}

fn lent(bytes: &[u8]) -> EnvoyBuffer {
    EnvoyBuffer { data: bytes.as_ptr().cast(), length: bytes.len() }
}

unsafe extern "C" fn header_count(pointer: EnvoyPointer, _: u32) -> usize {
    envoy(pointer).headers.len()
}

unsafe extern "C" fn headers(pointer: EnvoyPointer, _: u32, into: *mut Header<'_>) -> bool {
    for (at, (name, value)) in envoy(pointer).headers.iter().enumerate() {
        unsafe { into.add(at).write(Header::of(lent(name), lent(value))) };
    }
    true
}

unsafe extern "C" fn set_header(pointer: EnvoyPointer, _: u32, name: ModuleBuffer, value: ModuleBuffer) -> bool {
    let (name, value) = (bytes(name), bytes(value));
    envoy(pointer).headers.retain(|(known, _)| *known != name);
    if !value.is_empty() {
        envoy(pointer).headers.push((name, value));
    }
    true
}

unsafe extern "C" fn send_response(
    pointer: EnvoyPointer,
    status: u32,
    _: *mut ModuleHeader,
    _: usize,
    body: ModuleBuffer,
    _: ModuleBuffer,
) {
    let envoy = envoy(pointer);
    envoy.responses.push((status, String::from_utf8_lossy(&bytes(body)).into_owned()));
    if let Some(filter) = envoy.freed.take() {
        unsafe { free_filter::<Tested>(filter) };
    }
}

fn body_of(pointer: EnvoyPointer, body: u32) -> &'static [u8] {
    if body == 0 { &envoy(pointer).received } else { &envoy(pointer).buffered }
}

unsafe extern "C" fn body_length(pointer: EnvoyPointer, body: u32) -> usize {
    body_of(pointer, body).len()
}

unsafe extern "C" fn chunk_count(pointer: EnvoyPointer, body: u32) -> usize {
    body_of(pointer, body).chunks(2).count()
}

unsafe extern "C" fn chunks(pointer: EnvoyPointer, body: u32, into: *mut EnvoyBuffer) -> bool {
    for (at, chunk) in body_of(pointer, body).chunks(2).enumerate() {
        unsafe { into.add(at).write(lent(chunk)) };
    }
    true
}

unsafe extern "C" fn received_is_buffered(pointer: EnvoyPointer) -> bool {
    envoy(pointer).is_received_buffered
}

unsafe extern "C" fn buffer_limit(pointer: EnvoyPointer) -> u64 {
    envoy(pointer).limit
}

unsafe extern "C" fn set_buffer_limit(pointer: EnvoyPointer, limit: u64) {
    envoy(pointer).limit = limit;
}

unsafe extern "C" fn route(_: EnvoyPointer) -> ModulePointer {
    std::ptr::null()
}

unsafe extern "C" fn log(_: u32, _: ModuleBuffer) {}

/// No test calls the other functions.
unsafe extern "C" fn uncalled() {
    std::process::abort();
}

fn function(name: &CStr) -> *mut c_void {
    match name.to_bytes().strip_prefix(b"envoy_dynamic_module_callback_").unwrap_or_default() {
        b"http_get_headers_size" => header_count as *mut c_void,
        b"http_get_headers" => headers as *mut c_void,
        b"http_set_header" => set_header as *mut c_void,
        b"http_send_response" => send_response as *mut c_void,
        b"http_get_body_size" => body_length as *mut c_void,
        b"http_get_body_chunks_size" => chunk_count as *mut c_void,
        b"http_get_body_chunks" => chunks as *mut c_void,
        b"http_received_buffered_request_body" => received_is_buffered as *mut c_void,
        b"http_get_buffer_limit" => buffer_limit as *mut c_void,
        b"http_set_buffer_limit" => set_buffer_limit as *mut c_void,
        b"get_most_specific_route_config" => route as *mut c_void,
        b"log" => log as *mut c_void,
        _ => uncalled as *mut c_void,
    }
}

fn installed() {
    let Ok(callbacks) = Callbacks::find(&function) else { panic!("all functions are given") };
    crate::host::install(callbacks);
}

/// A module that does what the header `do` says.
#[derive(Debug)]
struct Tested;

struct PanicsAgain;

impl Drop for PanicsAgain {
    fn drop(&mut self) {
        panic!("a second time");
    }
}

fn response(body: String) -> Response {
    Response { status: 403, headers: Vec::new(), body: body.into(), details: "test".into() }
}

fn act(call: &mut Call<'_, Tested>) -> Flow {
    let wanted = {
        let headers = call.stream.map(Map::Headers);
        headers.iter().find(|header| header.name() == b"do").map(|header| header.value().to_vec())
    };
    match wanted.as_deref() {
        Some(b"panic") => panic!("wanted"),
        Some(b"panic twice") => std::panic::panic_any(PanicsAgain),
        Some(b"respond") => Flow::Respond(response(String::from_utf8_lossy(&call.stream.body()).into_owned())),
        Some(b"wait") => Flow::Wait,
        _ => {
            call.stream.raise_buffer_limit(10);
            call.stream.set_header(Map::Headers, "own", Some(b"set"));
            Flow::Continue
        }
    }
}

impl Module for Tested {
    type Configuration = String;
    type Route = String;
    type State = ();

    fn configure(_: &Definitions<'_>, text: &[u8]) -> Result<String, String> {
        Self::configure_route(text)
    }

    fn configure_route(text: &[u8]) -> Result<String, String> {
        match text {
            b"panic" => panic!("wanted"),
            text => String::from_utf8(text.to_vec()).map_err(|_| "not text".to_owned()),
        }
    }

    fn headers(call: &mut Call<'_, Self>, _: bool) -> Flow {
        act(call)
    }

    fn body(call: &mut Call<'_, Self>, _: bool) -> Flow {
        act(call)
    }

    fn trailers(call: &mut Call<'_, Self>) -> Flow {
        act(call)
    }

    fn failed() -> Response {
        response("failed".to_owned())
    }
}

/// A configuration and a filter of it.
struct Filter {
    configuration: ModulePointer,
    pointer: ModulePointer,
}

impl Filter {
    fn new() -> Self {
        installed();
        let configuration = unsafe { configure::<Tested>(null_mut(), lent(b"text")) };
        Self { configuration, pointer: unsafe { create::<Tested>(configuration) } }
    }

    fn send(&self, envoy: &mut Envoy, part: Part, action: &str) -> u32 {
        envoy.headers = vec![(b"do".to_vec(), action.into()), (b"own".to_vec(), b"client".to_vec())];
        unsafe { request::<Tested>(std::ptr::from_mut(envoy).cast(), self.pointer, part, true) }
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        unsafe { free_configuration::<Tested>(self.configuration) };
    }
}

const PARTS: [Part; 3] = [Part::Headers, Part::Body, Part::Trailers];

#[test]
fn panic_denies_the_request_and_what_follows_is_dropped() {
    for action in ["panic", "panic twice"] {
        for part in PARTS {
            let (filter, mut envoy) = (Filter::new(), Envoy::default());
            assert_ne!(filter.send(&mut envoy, part, action), CONTINUE);
            assert_eq!(envoy.responses, [(403, "failed".to_owned())]);
            for later in PARTS {
                assert_ne!(filter.send(&mut envoy, later, "continue"), CONTINUE, "{later:?}");
            }
            assert_eq!(envoy.responses.len(), 1, "one response for a request");
            unsafe { free_filter::<Tested>(filter.pointer) };
        }
    }
}

#[test]
fn filter_may_be_freed_while_its_response_is_sent() {
    for part in PARTS {
        let filter = Filter::new();
        let mut envoy = Envoy { freed: Some(filter.pointer), ..Envoy::default() };
        assert_ne!(filter.send(&mut envoy, part, "respond"), CONTINUE);
        assert_eq!(envoy.responses.len(), 1);
    }
}

#[test]
fn request_continues_or_waits_as_the_module_says() {
    for part in PARTS {
        let (filter, mut envoy) = (Filter::new(), Envoy { limit: 5, ..Envoy::default() });
        assert_eq!(filter.send(&mut envoy, part, "wait"), 1);
        assert_eq!(filter.send(&mut envoy, part, "continue"), CONTINUE);
        assert!(envoy.headers.contains(&(b"own".to_vec(), b"set".to_vec())) && envoy.limit == 10);
        envoy.limit = 20;
        assert_eq!(filter.send(&mut envoy, part, "continue"), CONTINUE);
        assert_eq!((envoy.limit, envoy.responses.len()), (20, 0), "a higher limit stays");
        unsafe { free_filter::<Tested>(filter.pointer) };
    }
}

#[test]
fn body_is_what_is_buffered_and_what_arrives() {
    for (buffered, received, is_same, expected) in [
        ("", "", false, ""),
        ("abc", "", false, "abc"),
        ("", "abc", false, "abc"),
        ("abc", "de", false, "abcde"),
        ("abc", "abc", true, "abc"),
    ] {
        let filter = Filter::new();
        let mut envoy = Envoy {
            buffered: buffered.into(),
            received: received.into(),
            is_received_buffered: is_same,
            ..Envoy::default()
        };
        filter.send(&mut envoy, Part::Body, "respond");
        assert_eq!(envoy.responses, [(403, expected.to_owned())]);
        unsafe { free_filter::<Tested>(filter.pointer) };
    }
}

#[test]
fn invalid_configuration_and_panic_give_no_configuration() {
    installed();
    for text in [&b"panic"[..], b"\xff"] {
        assert!(unsafe { configure::<Tested>(null_mut(), lent(text)) }.is_null());
        assert!(unsafe { configure_route::<Tested>(lent(text)) }.is_null());
    }
    let missing = unsafe { configure::<Tested>(null_mut(), EnvoyBuffer::EMPTY) };
    assert!(!missing.is_null());
    unsafe { free_configuration::<Tested>(missing) };
}

#[test]
fn request_without_a_filter_is_stopped() {
    installed();
    let mut envoy = Envoy::default();
    for part in PARTS {
        let pointer = std::ptr::from_mut(&mut envoy).cast();
        assert_ne!(unsafe { request::<Tested>(pointer, std::ptr::null(), part, true) }, CONTINUE);
    }
}

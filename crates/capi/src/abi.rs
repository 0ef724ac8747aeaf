//! The types and constants of the C API.
//!
//! The names are those of C. The fields of enumerations are integers: a C caller may store any value in them.

#![allow(non_camel_case_types, reason = "the names of C")]

use std::ffi::c_char;

/// The limit of a text of a request, in bytes: 16 MiB.
pub const PCL_MAX_TEXT: usize = 16 << 20;
/// The limit of a policy, in bytes: 256 MiB.
pub const PCL_MAX_POLICY: usize = 256 << 20;
const _: () = assert!(PCL_MAX_POLICY == portcullis_live::load::MAX_POLICY);
/// The limit of the sources of a request.
pub const PCL_MAX_SOURCES: usize = 10_000;
/// The limit of the headers of an HTTP request.
pub const PCL_MAX_HEADERS: usize = 10_000;
/// The limit of the list `cors_origins`.
pub const PCL_MAX_ORIGINS: usize = 10_000;

/// `pcl_source.kind`: a fully qualified table, tileset or raster.
pub const PCL_SOURCE_RESOURCE: u32 = 0;
/// `pcl_source.kind`: the text of a query.
pub const PCL_SOURCE_QUERY: u32 = 1;
/// `pcl_source.kind`: the name of a named source.
pub const PCL_SOURCE_NAMED_SOURCE: u32 = 2;

/// `pcl_request.operation`: a query that the client wrote.
pub const PCL_OPERATION_QUERY: u32 = 0;
/// `pcl_request.operation`: an aggregate that the API itself builds over a source.
pub const PCL_OPERATION_MODEL: u32 = 1;

/// `pcl_decision.error`: the policy decided.
pub const PCL_ERROR_NONE: u32 = 0;
/// `pcl_decision.error`: an argument is invalid. The request is denied.
pub const PCL_ERROR_ARGUMENT: u32 = 1;
/// `pcl_decision.error`: the library failed. The request is denied.
pub const PCL_ERROR_INTERNAL: u32 = 2;

/// `pcl_options.flags`: the `Origin` header replaces a missing `Referer`.
pub const PCL_ORIGIN_AS_REFERER: u32 = 1;
/// `pcl_options.flags`: a token in the query of a URL is not understood.
pub const PCL_REFUSE_QUERY_TOKENS: u32 = 2;
/// `pcl_options.flags`: preflights pass to the upstream without a decision.
pub const PCL_PASS_PREFLIGHTS: u32 = 4;
/// `pcl_options.flags`: preflights of every origin are answered, and every page may read a denial.
pub const PCL_CORS_ANY: u32 = 8;
/// `pcl_options.flags`: a live policy opens even if its file is missing or not valid. Requests are denied with 503 until the
/// file is valid.
pub const PCL_OPEN_UNAVAILABLE: u32 = 16;

/// Text of `length` bytes, without a terminator. As an argument, it is borrowed until the function returns. NULL with the
/// length 0 is a missing text, which differs from an empty one. NULL with another length is invalid.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pcl_text {
    /// The first byte; NULL if the text is missing.
    pub data: *const c_char,
    /// The number of bytes.
    pub length: usize,
}

/// An instant.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pcl_time {
    /// Seconds since 1970-01-01T00:00:00Z, rounded down.
    pub seconds: i64,
    /// Nanoseconds since that second: less than 1,000,000,000.
    pub nanoseconds: u32,
}

/// A source that a request reads or writes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pcl_source {
    /// One of `PCL_SOURCE_…`.
    pub kind: u32,
    /// The name or the query, as the client wrote it.
    pub text: pcl_text,
}

/// A request for a decision. Set all fields that are not used to 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pcl_request {
    /// `sizeof(pcl_request)`.
    pub struct_size: usize,
    /// The secret that the client presented; missing or empty if there is none.
    pub secret: pcl_text,
    /// The name of the API.
    pub api: pcl_text,
    /// The name of the connection; may be missing under an API without sources.
    pub connection: pcl_text,
    /// The sources; NULL if `source_count` is 0.
    pub sources: *const pcl_source,
    /// The number of sources, at most `PCL_MAX_SOURCES`.
    pub source_count: usize,
    /// The `Referer` header. A missing header differs from an empty one.
    pub referer: pcl_text,
    /// One of `PCL_OPERATION_…`.
    pub operation: u32,
    /// The instant to decide at; NULL for the current time of the system.
    pub at: *const pcl_time,
}

/// A decision, in memory of the caller. The caller sets `struct_size` and the two buffers. The function sets the rest.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pcl_decision {
    /// `sizeof(pcl_decision)`.
    pub struct_size: usize,
    /// Memory for the id of the token; may be NULL with the capacity 0.
    pub token_id: *mut c_char,
    /// The size of `token_id` in bytes.
    pub token_id_capacity: usize,
    /// Memory for the index of the grant that allows each source; may be NULL with the capacity 0.
    pub grants: *mut u32,
    /// The number of elements of `grants`.
    pub grants_capacity: usize,
    /// 1 if the request is allowed, otherwise 0.
    pub allowed: i32,
    /// The HTTP status: 200 if the request is allowed.
    pub status: u32,
    /// One of `PCL_ERROR_…`.
    pub error: u32,
    /// The stable code of a denial, such as `token_unknown`; missing if the request is allowed. Never freed.
    pub reason: pcl_text,
    /// The generation of the policy that decided; 0 if none did.
    pub generation: u64,
    /// The length of the token's id; 0 if the token is unknown. The id is written only if it fits.
    pub token_id_length: usize,
    /// The number of grants. They are written only if all fit.
    pub grant_count: usize,
}

/// A header.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pcl_header {
    /// The name, in any case.
    pub name: pcl_text,
    /// The value.
    pub value: pcl_text,
}

/// An HTTP request, as the client sent it. Set all fields that are not used to 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pcl_http_request {
    /// `sizeof(pcl_http_request)`.
    pub struct_size: usize,
    /// The method.
    pub method: pcl_text,
    /// Path and query, neither decoded nor normalised.
    pub target: pcl_text,
    /// All headers. A repeated header is an element each time.
    pub headers: *const pcl_header,
    /// The number of headers, at most `PCL_MAX_HEADERS`.
    pub header_count: usize,
    /// The whole body. Empty (not NULL) if the request has no body. Missing (NULL) if the host did not read the body: a
    /// request that may have one is denied then.
    pub body: pcl_text,
    /// The instant to decide at; NULL for the current time of the system.
    pub at: *const pcl_time,
}

/// The answer to an HTTP request, in memory of the library.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pcl_answer {
    /// 1 if the request may be forwarded. Otherwise 0: send `status`, `headers` and `body` to the client.
    pub allowed: i32,
    /// The HTTP status of the response; 200 if the request may be forwarded.
    pub status: u32,
    /// If the request is allowed: headers to set on the forwarded request. Otherwise the headers of the response. Names are
    /// in lower case.
    pub headers: *const pcl_header,
    /// The number of headers.
    pub header_count: usize,
    /// Names of headers that the client sent and that the host must remove before it sets `headers`.
    pub removed: *const pcl_text,
    /// The number of these names.
    pub removed_count: usize,
    /// The body of the response: JSON, or empty.
    pub body: pcl_text,
    /// The stable code of a denial; missing if there is none. Never freed.
    pub reason: pcl_text,
    /// The id of the token, for access logs; missing if the token is unknown.
    pub token_id: pcl_text,
    /// The generation of the policy that decided; 0 if none did.
    pub generation: u64,
}

/// Options of a policy. All zero bytes, except `struct_size`, are the defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pcl_options {
    /// `sizeof(pcl_options)`.
    pub struct_size: usize,
    /// A sum of `PCL_ORIGIN_AS_REFERER`, `PCL_REFUSE_QUERY_TOKENS`, `PCL_PASS_PREFLIGHTS`, `PCL_CORS_ANY` and
    /// `PCL_OPEN_UNAVAILABLE`.
    pub flags: u32,
    /// How often a live policy checks its file, in milliseconds; 0 for 1,000.
    pub poll_milliseconds: u32,
    /// The table of routes as JSON; missing for the built-in one.
    pub routes: pcl_text,
    /// The origins whose preflights are answered, such as `https://app.example.com`; NULL if `cors_origin_count` is 0.
    pub cors_origins: *const pcl_text,
    /// The number of origins, at most `PCL_MAX_ORIGINS`.
    pub cors_origin_count: usize,
    /// The limit of a body in bytes; 0 for 1 MiB.
    pub max_body: usize,
}

/// A struct whose first field is its size, so that later versions can add fields.
///
/// # Safety
///
/// The type must be `repr(C)`, and its first field must be a `usize`.
pub(crate) unsafe trait StructSize {}

// SAFETY: all of them are `repr(C)` and start with `struct_size`.
unsafe impl StructSize for pcl_request {}
// SAFETY: as above.
unsafe impl StructSize for pcl_decision {}
// SAFETY: as above.
unsafe impl StructSize for pcl_http_request {}
// SAFETY: as above.
unsafe impl StructSize for pcl_options {}

impl pcl_text {
    /// A missing text.
    pub const MISSING: Self = Self { data: std::ptr::null(), length: 0 };

    /// Returns `text` as C reads it. The result is valid as long as `text`.
    pub const fn of(text: &str) -> Self {
        Self::of_bytes(text.as_bytes())
    }

    /// Returns `bytes` as C reads them. The result is valid as long as `bytes`.
    pub const fn of_bytes(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr().cast(), length: bytes.len() }
    }
}

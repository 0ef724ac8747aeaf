//! Requests for a decision, borrowed from the caller.

use std::borrow::Cow;

use crate::abi::{
    PCL_MAX_SOURCES, PCL_OPERATION_MODEL, PCL_OPERATION_QUERY, PCL_SOURCE_NAMED_SOURCE, PCL_SOURCE_QUERY,
    PCL_SOURCE_RESOURCE, pcl_request, pcl_source, pcl_time,
};
use crate::borrow::{Invalid, list, needed, sized, text, value};
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::model::Operation;
use portcullis_http::gateway::{Access, AccessSource, SourceKind};

/// Reads a request, and the instant to decide at.
///
/// # Safety
///
/// `request` is NULL, or points to a request whose pointers are valid during `'a`.
pub(crate) unsafe fn read<'a>(request: *const pcl_request) -> Result<(Access<'a>, Timestamp), Invalid> {
    // SAFETY: valid by the contract.
    let request = needed(unsafe { sized(request, "request") }?, "request")?;
    // SAFETY: valid by the contract.
    let sources: &[pcl_source] =
        unsafe { list(request.sources, request.source_count, "request.sources", PCL_MAX_SOURCES) }?;
    // SAFETY: valid by the contract.
    let [secret, api, connection, referer] = [
        unsafe { text(request.secret, "request.secret") }?,
        unsafe { text(request.api, "request.api") }?,
        unsafe { text(request.connection, "request.connection") }?,
        unsafe { text(request.referer, "request.referer") }?,
    ];
    let access = Access {
        token: secret.filter(|secret| !secret.is_empty()).map(Cow::Borrowed),
        api: needed(api, "request.api")?.into(),
        operation: operation(request.operation)?,
        connection: connection.unwrap_or_default().into(),
        // SAFETY: valid by the contract.
        sources: sources.iter().map(|source| unsafe { read_source(source) }).collect::<Result<_, _>>()?,
        referer: referer.map(Cow::Borrowed),
    };
    // SAFETY: valid by the contract.
    Ok((access, unsafe { instant(request.at, "request.at") }?))
}

/// Returns the instant, or the current time if the pointer is NULL.
///
/// # Safety
///
/// `at` is NULL, or points to an instant.
pub(crate) unsafe fn instant(at: *const pcl_time, name: &str) -> Result<Timestamp, Invalid> {
    // SAFETY: valid by the contract.
    match unsafe { value(at, name) }? {
        None => Ok(SystemClock.now()),
        Some(at) if at.nanoseconds >= 1_000_000_000 => {
            Err(Invalid::new(format!("`{name}.nanoseconds`: expected less than 1000000000, found {}", at.nanoseconds)))
        }
        Some(at) => Ok(Timestamp::from_unix(at.seconds, at.nanoseconds)),
    }
}

fn operation(number: u32) -> Result<Operation, Invalid> {
    match number {
        PCL_OPERATION_QUERY => Ok(Operation::Query),
        PCL_OPERATION_MODEL => Ok(Operation::Model),
        other => Err(Invalid::new(format!("`request.operation`: expected 0 or 1, found {other}"))),
    }
}

/// # Safety
///
/// The text of `source` is valid during `'a`.
unsafe fn read_source<'a>(source: &pcl_source) -> Result<AccessSource<'a>, Invalid> {
    let kind = match source.kind {
        PCL_SOURCE_RESOURCE => SourceKind::Resource,
        PCL_SOURCE_QUERY => SourceKind::Query,
        PCL_SOURCE_NAMED_SOURCE => SourceKind::NamedSource,
        other => {
            return Err(Invalid::new(format!("`request.sources.kind`: expected 0, 1 or 2, found {other}")));
        }
    };
    // SAFETY: valid by the contract.
    let text = unsafe { text(source.text, "request.sources.text") }?;
    Ok((kind, needed(text, "request.sources.text")?.into()))
}

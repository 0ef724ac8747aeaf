//! What a module implements.

use crate::response::Response;
use crate::stream::{Definitions, Stream};

/// An HTTP filter. The functions of one stream are called on one thread, those of different streams at once.
pub trait Module: 'static {
    /// The configuration of a filter, which all of its streams share.
    type Configuration: Send + Sync;
    /// The configuration of a route.
    type Route: Send + Sync;
    /// The state of one stream.
    type State: Default;

    /// Reads the configuration of a filter.
    ///
    /// # Errors
    ///
    /// If it is not valid. Envoy then refuses its own configuration.
    fn configure(define: &Definitions<'_>, text: &[u8]) -> Result<Self::Configuration, String>;

    /// Reads the configuration of a route.
    ///
    /// # Errors
    ///
    /// If it is not valid. Envoy then refuses its own configuration.
    fn configure_route(text: &[u8]) -> Result<Self::Route, String>;

    /// Handles the headers of a request. `is_end` means that nothing follows.
    fn headers(call: &mut Call<'_, Self>, is_end: bool) -> Flow
    where
        Self: Sized;

    /// Handles a part of the body. `is_end` means that nothing follows.
    fn body(call: &mut Call<'_, Self>, is_end: bool) -> Flow
    where
        Self: Sized;

    /// Handles the trailers, which follow the body.
    fn trailers(call: &mut Call<'_, Self>) -> Flow
    where
        Self: Sized;

    /// Returns the response to a request during which the module panicked.
    fn failed() -> Response;
}

/// One call of a module for a stream.
#[derive(Debug)]
#[allow(missing_debug_implementations)]
pub struct Call<'c, M: Module> {
    /// The configuration of the filter.
    pub configuration: &'c M::Configuration,
    /// The configuration of the most specific route; `None` if it has none.
    pub route: Option<&'c M::Route>,
    /// The state of the stream.
    pub state: &'c mut M::State,
    /// The request.
    pub stream: &'c mut Stream<'c>,
}

/// What happens to a request next.
#[derive(Debug)]
pub enum Flow {
    /// The request goes to the next filter, with what was buffered.
    Continue,
    /// The request waits, and Envoy buffers its body.
    Wait,
    /// The client receives this response, and the request goes no further.
    Respond(Response),
}

//! Options of a policy.

use std::time::Duration;

use crate::abi::{
    PCL_CORS_ANY, PCL_MAX_ORIGINS, PCL_MAX_TEXT, PCL_OPEN_UNAVAILABLE, PCL_ORIGIN_AS_REFERER, PCL_PASS_PREFLIGHTS,
    PCL_REFUSE_QUERY_TOKENS, pcl_options,
};
use crate::borrow::{Invalid, list, needed, sized, text};
use portcullis_http::answer::Cors;
use portcullis_http::gateway::{Preflights, Reader, ReaderOptions, Routes};

/// The default limit of a body, in bytes: that of the sidecar.
const BODY: usize = 1 << 20;

/// The default interval between checks of a live policy.
const POLL: Duration = Duration::from_secs(1);

/// Options, read.
pub(crate) struct PolicyOptions {
    pub(crate) reader: Reader,
    pub(crate) cors: Cors,
    pub(crate) max_body: usize,
    pub(crate) poll: Duration,
    /// Whether a live policy opens without a valid file.
    pub(crate) may_be_unavailable: bool,
}

impl PolicyOptions {
    /// Reads options; the defaults if the pointer is NULL.
    ///
    /// # Safety
    ///
    /// `options` is NULL, or points to options whose pointers are valid.
    pub(crate) unsafe fn read(options: *const pcl_options) -> Result<Self, Invalid> {
        // SAFETY: valid by the contract.
        let Some(options) = (unsafe { sized(options, "options") })? else {
            return Ok(Self {
                reader: Reader::default(),
                cors: Cors::None,
                max_body: BODY,
                poll: POLL,
                may_be_unavailable: false,
            });
        };
        let known =
            PCL_ORIGIN_AS_REFERER | PCL_REFUSE_QUERY_TOKENS | PCL_PASS_PREFLIGHTS | PCL_CORS_ANY | PCL_OPEN_UNAVAILABLE;
        if options.flags & !known != 0 {
            return Err(Invalid::new(format!("`options.flags`: expected bits of {known}, found {}", options.flags)));
        }
        // SAFETY: valid by the contract.
        let routes = match unsafe { text(options.routes, "options.routes") }? {
            None => Routes::default(),
            Some(json) => {
                Routes::from_json(json).map_err(|error| Invalid::new(format!("`options.routes`: {error}")))?
            }
        };
        let is_set = |flag| options.flags & flag != 0;
        let reader = ReaderOptions {
            origin_as_referer: is_set(PCL_ORIGIN_AS_REFERER),
            refuse_query_tokens: is_set(PCL_REFUSE_QUERY_TOKENS),
            preflights: if is_set(PCL_PASS_PREFLIGHTS) { Preflights::Pass } else { Preflights::Hold },
        };
        Ok(Self {
            reader: Reader::new(routes, reader),
            // SAFETY: valid by the contract.
            cors: unsafe { cors(options) }?,
            max_body: if options.max_body == 0 { BODY } else { options.max_body.min(PCL_MAX_TEXT) },
            poll: match options.poll_milliseconds {
                0 => POLL,
                milliseconds => Duration::from_millis(milliseconds.into()),
            },
            may_be_unavailable: is_set(PCL_OPEN_UNAVAILABLE),
        })
    }
}

/// # Safety
///
/// The pointers of `options` are valid.
unsafe fn cors(options: &pcl_options) -> Result<Cors, Invalid> {
    if options.flags & PCL_CORS_ANY != 0 {
        return Ok(Cors::Any);
    }
    let name = "options.cors_origins";
    // SAFETY: valid by the contract.
    let origins = unsafe { list(options.cors_origins, options.cors_origin_count, name, PCL_MAX_ORIGINS) }?;
    let owned = |origin: &_| {
        // SAFETY: valid by the contract.
        let origin = unsafe { text(*origin, name) }?;
        needed(origin, name).map(str::to_owned)
    };
    let origins = origins.iter().map(owned).collect::<Result<Vec<_>, _>>()?;
    Ok(if origins.is_empty() { Cors::None } else { Cors::Only(origins) })
}

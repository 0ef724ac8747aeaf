//! Decides a request.

use crate::abi::{PCL_ERROR_ARGUMENT, PCL_ERROR_INTERNAL, PCL_ERROR_NONE, pcl_decision, pcl_request, pcl_text};
use crate::borrow::{Invalid, needed, value};
use crate::guard::guarded;
use crate::handle::pcl_policy;
use crate::request;
use portcullis::decision::{Decision, Reason};

/// Decides `request` by `policy`, and writes the decision to `decision`.
///
/// Returns 1 if the request is allowed, otherwise 0: also for an invalid argument and for a failure of the library, which
/// `decision->error` distinguishes. NULL for `policy` denies with `policy_unavailable`. NULL for `decision` denies.
///
/// Memory: keeps no pointer and allocates nothing, except lists of more than two sources and texts that need unquoting.
///
/// Threads: any number at once, each with its own `decision`.
///
/// # Safety
///
/// Every pointer is NULL or valid, and the lengths and capacities are right.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pcl_decide(
    policy: *const pcl_policy,
    request: *const pcl_request,
    decision: *mut pcl_decision,
) -> i32 {
    guarded(
        // SAFETY: valid by the contract.
        || unsafe { deny(decision, PCL_ERROR_INTERNAL, Reason::RequestNotUnderstood) },
        // SAFETY: valid by the contract.
        || match unsafe { decided(policy, request, decision) } {
            Ok(allowed) => allowed,
            // SAFETY: valid by the contract.
            Err(_) => unsafe { deny(decision, PCL_ERROR_ARGUMENT, Reason::RequestNotUnderstood) },
        },
    )
}

/// # Safety
///
/// Every pointer is NULL or valid.
unsafe fn decided(
    policy: *const pcl_policy,
    request: *const pcl_request,
    decision: *mut pcl_decision,
) -> Result<i32, Invalid> {
    // SAFETY: valid by the contract.
    let Some(out) = (unsafe { output(decision) }) else { return Ok(0) };
    out.deny(PCL_ERROR_NONE, Reason::PolicyUnavailable);
    // SAFETY: valid by the contract.
    let Some(policy) = (unsafe { value(policy, "policy") })? else { return Ok(0) };
    // SAFETY: valid by the contract.
    let (access, now) = unsafe { request::read(request) }?;
    out.check_buffers()?;
    let shared = policy.shared();
    let current = shared.authorizer.current();
    let (token_id, found) = current.decide_identified(&access.request(&access.sources()), now);
    shared.counters.count(found.reason());
    out.generation = current.number();
    // SAFETY: the buffers were checked.
    unsafe { out.write_token_id(token_id.unwrap_or_default()) };
    match &found {
        Decision::Allow(allow) => {
            // SAFETY: the buffers were checked.
            unsafe { out.write_grants(allow.grants()) };
            (out.allowed, out.status, out.reason) = (1, 200, pcl_text::MISSING);
        }
        Decision::Deny(reason) => {
            (out.status, out.reason) = (reason.status().into(), pcl_text::of(reason.code()));
        }
    }
    Ok(out.allowed)
}

/// Writes a denial.
///
/// # Safety
///
/// `decision` is NULL or valid.
unsafe fn deny(decision: *mut pcl_decision, error: u32, reason: Reason) -> i32 {
    // SAFETY: valid by the contract.
    if let Some(out) = unsafe { output(decision) } {
        out.deny(error, reason);
    }
    0
}

/// Borrows the output; `None` if it is NULL, not aligned or too small.
///
/// # Safety
///
/// `decision` is NULL, or its size is readable there, and as many bytes are writable. Nobody else uses them during `'a`.
unsafe fn output<'a>(decision: *mut pcl_decision) -> Option<&'a mut pcl_decision> {
    if decision.is_null() || !decision.is_aligned() {
        return None;
    }
    // SAFETY: not NULL, aligned, and readable by the contract.
    let size = unsafe { decision.cast::<usize>().read() };
    // SAFETY: the caller says that the whole struct is there.
    if size < size_of::<pcl_decision>() { None } else { unsafe { decision.as_mut() } }
}

impl pcl_decision {
    fn deny(&mut self, error: u32, reason: Reason) {
        (self.allowed, self.status, self.error) = (0, reason.status().into(), error);
        self.reason = pcl_text::of(reason.code());
        (self.generation, self.token_id_length, self.grant_count) = (0, 0, 0);
    }

    fn check_buffers(&self) -> Result<(), Invalid> {
        if self.token_id_capacity > 0 {
            needed((!self.token_id.is_null()).then_some(()), "decision.token_id")?;
        }
        if self.grants_capacity > 0 {
            let is_usable = !self.grants.is_null() && self.grants.is_aligned();
            needed(is_usable.then_some(()), "decision.grants")?;
        }
        Ok(())
    }

    /// Writes the id if it fits.
    ///
    /// # Safety
    ///
    /// `check_buffers` returned `Ok`, and the capacity is right.
    unsafe fn write_token_id(&mut self, id: &str) {
        self.token_id_length = id.len();
        if !id.is_empty() && id.len() <= self.token_id_capacity {
            // SAFETY: the buffer is large enough, and it is the caller's, so that it does not overlap the policy.
            unsafe { self.token_id.cast::<u8>().copy_from_nonoverlapping(id.as_ptr(), id.len()) };
        }
    }

    /// Writes the grants if all fit.
    ///
    /// # Safety
    ///
    /// See [`Self::write_token_id`].
    unsafe fn write_grants(&mut self, grants: &[u32]) {
        self.grant_count = grants.len();
        if !grants.is_empty() && grants.len() <= self.grants_capacity {
            // SAFETY: as above.
            unsafe { self.grants.copy_from_nonoverlapping(grants.as_ptr(), grants.len()) };
        }
    }
}

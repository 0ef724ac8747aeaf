//! Near misses of tokens: an expired token, or an API that the token does not list.

use super::{NearMiss, NearMissKind, Nearest};
use crate::explain::case::Case;
use crate::explain::edit::Edit;
use crate::explain::words::{list, span};
use crate::model::Expiry;

pub(super) fn expired(case: &Case<'_, '_>, nearest: &mut Nearest) {
    let Some(Expiry::At(end)) = case.row.map(|row| case.compiled.terms(row).expiry()) else { return };
    nearest.offer(0, None, || {
        let ago = span(end, case.now);
        NearMiss::new(NearMissKind::Expired, format!("the token expired at {end}, {ago} ago"))
            .help("an expiry cannot be moved: create another token")
    });
}

pub(super) fn api(case: &Case<'_, '_>, nearest: &mut Nearest) {
    let Some(row) = case.row else { return };
    let (apis, requested) = (case.compiled.apis(), case.request.api);
    let shown = case.quoted(requested);
    let listed = || {
        list(case.compiled.terms(row).apis().iter().filter_map(|id| apis.get(id)).map(|api| case.quoted(api.name())))
    };
    if apis.find(requested).is_some() {
        nearest.offer(0, None, || {
            let message = format!("the token does not list the API {shown}, it lists {}", listed());
            NearMiss::new(NearMissKind::ApiNotListed, message)
        });
        return;
    }
    for (id, api) in apis.iter() {
        let folded = requested.trim().to_lowercase();
        let edit = nearest.speller.edit(&folded, api.name()).map_or(0, Edit::count);
        if edit == 0 && folded != api.name() {
            continue;
        }
        let is_listed = case.compiled.terms(row).apis().contains(id);
        nearest.offer(if is_listed { edit } else { 4 }, None, || {
            let which = if is_listed { "which the token lists" } else { "which the token does not list either" };
            let message =
                format!("{shown} is not an API of this policy, but similar to {}, {which}", case.quoted(api.name()));
            NearMiss::new(NearMissKind::SimilarApi, message)
        });
    }
    nearest.offer(5, None, || {
        let message = format!("{shown} is not an API of this policy, the token lists {}", listed());
        NearMiss::new(NearMissKind::ApiNotListed, message)
    });
}

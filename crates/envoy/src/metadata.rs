//! Dynamic metadata, which access logs and later filters can read. The fields are those of the gRPC service.

use crate::options::{Decisions, Metadata};
use portcullis_envoy_abi::Stream;
use portcullis_http::answer::{HttpDecision, Outcome};

/// Writes a decision.
pub(crate) fn write(stream: &mut Stream<'_>, metadata: &Metadata, decision: &HttpDecision<&str>, is_shadow: bool) {
    if !metadata.has(!decision.is_allow()) {
        return;
    }
    let namespace = &*metadata.namespace;
    #[expect(clippy::cast_precision_loss, reason = "Envoy stores every number as a double")]
    stream.set_metadata_number(namespace, "generation", decision.generation as f64);
    if let Some(id) = &decision.token_id {
        stream.set_metadata_text(namespace, "token_id", id);
    }
    let word = match &decision.outcome {
        Outcome::Allow { grants } => {
            for grant in grants {
                // Fails only if another filter has written the key, with another type.
                let _ = stream.append_metadata_number(namespace, "grants", f64::from(*grant));
            }
            "allow"
        }
        Outcome::Pass => "pass",
        Outcome::Preflight => "preflight",
        Outcome::Deny { reason, .. } => {
            stream.set_metadata_text(namespace, "reason", reason.code());
            "deny"
        }
    };
    stream.set_metadata_text(namespace, "decision", word);
    if is_shadow {
        stream.set_metadata_flag(namespace, "shadow", true);
    }
}

/// Writes the denial of a body that is too large.
pub(crate) fn write_too_large(stream: &mut Stream<'_>, metadata: &Metadata, is_shadow: bool) {
    if !metadata.has(true) {
        return;
    }
    let namespace = &*metadata.namespace;
    stream.set_metadata_text(namespace, "decision", "deny");
    stream.set_metadata_text(namespace, "reason", TOO_LARGE);
    if is_shadow {
        stream.set_metadata_flag(namespace, "shadow", true);
    }
}

/// The reason of the denial of a body that is too large.
pub(crate) const TOO_LARGE: &str = "body_too_large";

impl Metadata {
    /// Whether an allow or a denial is written.
    fn has(&self, is_denial: bool) -> bool {
        match self.decisions {
            Decisions::All => true,
            Decisions::Denials => is_denial,
            Decisions::None => false,
        }
    }
}

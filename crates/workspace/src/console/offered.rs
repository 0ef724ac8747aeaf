//! What the registry offers to forms with grants.

use portcullis_document::read_policy;
use portcullis_registry::record::{Connection, NamedSource};
use portcullis_registry::{Actor, Registry};

use super::visit::Visit;
use crate::problem::Problem;

/// What the registry offers to a form.
pub(super) struct Offered {
    pub(super) connections: Vec<Connection>,
    pub(super) named_sources: Vec<NamedSource>,
    /// The APIs, the built-in ones first.
    pub(super) apis: Vec<String>,
}

impl Offered {
    /// Reads what the registry offers.
    pub(super) async fn read(visit: &Visit) -> Result<Self, Problem> {
        let read = |registry: &mut Registry, _: &Actor| {
            Ok((registry.connections()?, registry.named_sources()?, registry.document_of(&[])?))
        };
        let (connections, named_sources, document) = visit.workspace().read(&visit.identity, read).await?;
        let policy = read_policy(document).map_err(|_| Problem::internal())?;
        let apis = policy.apis().iter().map(|(_, api)| api.name().to_owned()).collect();
        Ok(Self { connections, named_sources, apis })
    }
}

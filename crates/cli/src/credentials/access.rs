//! The options for what the access tokens of an OAuth client may read and manage.

use portcullis_registry::{ClientAccess, ClientEdit, TypedGrant};

use super::pairs::grant;

/// What the access tokens of a new client may read and manage.
#[derive(Debug, clap::Args)]
pub(super) struct AccessArgs {
    /// Let access tokens use these APIs [default: none]
    ///
    /// Without APIs and grants, access tokens only manage credentials. Example: `--apis maps,sql`
    #[arg(long, value_name = "API,…", value_delimiter = ',', help_heading = "Access tokens", value_parser = crate::bounds::item)]
    apis: Vec<String>,
    /// Let access tokens read a source; repeat for more
    ///
    /// Example: `--grant 'carto_dw,carto.shared.CARTO_*'`
    #[arg(long, value_name = "CONNECTION,SOURCE", help_heading = "Access tokens", value_parser = grant)]
    grant: Vec<(String, String)>,
    /// Limit access tokens to these scopes [default: all but `admin`]
    ///
    /// Example: `--scopes read:tokens,write:tokens`
    #[arg(long, value_name = "SCOPE,…", value_delimiter = ',', help_heading = "Access tokens", value_parser = crate::bounds::item)]
    scopes: Option<Vec<String>>,
}

/// Changes of what the access tokens of a client may read and manage.
#[derive(Debug, clap::Args)]
pub(super) struct AccessEditArgs {
    /// Replace the APIs of access tokens
    ///
    /// Applies to access tokens that are issued from now on. Example: `--apis maps,sql`
    #[arg(long, value_name = "API,…", value_delimiter = ',', help_heading = "Access tokens", value_parser = crate::bounds::item)]
    apis: Option<Vec<String>>,
    /// Replace the grants of access tokens; repeat for more
    ///
    /// Example: `--grant 'carto_dw,carto.shared.CARTO_*'`
    #[arg(long, value_name = "CONNECTION,SOURCE", help_heading = "Access tokens", value_parser = grant)]
    grant: Option<Vec<(String, String)>>,
    /// Replace the scopes that access tokens may have
    ///
    /// Example: `--scopes read:tokens,write:tokens`
    #[arg(long, value_name = "SCOPE,…", value_delimiter = ',', help_heading = "Access tokens", value_parser = crate::bounds::item)]
    scopes: Option<Vec<String>>,
}

impl AccessArgs {
    pub(super) fn access(&self) -> ClientAccess {
        ClientAccess { apis: self.apis.clone(), grants: self.grant.iter().map(untyped).collect() }
    }

    pub(super) fn scopes(&self) -> Option<&[String]> {
        self.scopes.as_deref()
    }
}

impl AccessEditArgs {
    pub(super) fn edit(&self) -> ClientEdit {
        ClientEdit {
            apis: self.apis.clone(),
            grants: self.grant.as_ref().map(|grants| grants.iter().map(untyped).collect()),
            scopes: self.scopes.clone().map(Some),
            ..ClientEdit::default()
        }
    }
}

fn untyped((connection, source): &(String, String)) -> TypedGrant {
    TypedGrant { connection: connection.clone(), source: source.clone(), kind: None }
}

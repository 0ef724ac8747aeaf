//! The options of the sign-in at an OpenID provider.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::bail;
use portcullis::base::quoted;
use portcullis_workspace::{Issuer, ProviderOptions, Rules, SignInOptions};

use super::claims;
use crate::bounds::count;
use crate::credentials::word;
use crate::input::Opened;
use crate::output::file_name;

/// The options of the sign-in.
#[derive(clap::Args)]
#[command(next_help_heading = "Sign-in at an OpenID provider")]
pub(super) struct SignInArgs {
    /// Sign users in at this OpenID provider
    ///
    /// Write its `issuer`, exactly as its discovery document does. Register `URL/login/callback` as redirect URI there, and
    /// `URL/` as the URL after a sign-out, where URL is that of the workspace. Example: `--oidc-issuer
    /// https://login.example.com`
    #[arg(long, value_name = "URL", requires = "oidc_client_id")]
    oidc_issuer: Option<Issuer>,
    /// Set the client id that the provider has registered
    #[arg(long, value_name = "ID", requires = "oidc_issuer", value_parser = claims::client_id)]
    oidc_client_id: Option<String>,
    /// Read the secret of the client from this file
    ///
    /// Leave it out if the provider has registered a public client.
    #[arg(long, value_name = "FILE", requires = "oidc_issuer")]
    oidc_client_secret_file: Option<PathBuf>,
    /// Trust the certificate authorities in this file (PEM) for the provider
    ///
    /// The default is the certificate authorities of the system.
    #[arg(long, value_name = "FILE", requires = "oidc_issuer")]
    oidc_ca: Option<PathBuf>,
    /// Request these scopes in addition to `openid`
    ///
    /// Some providers send groups only with a scope. Example: `--oidc-scope email profile groups`
    #[arg(long, value_name = "SCOPE", num_args = 1.., requires = "oidc_issuer", default_values = ["email", "profile"], value_parser = claims::scope)]
    oidc_scope: Vec<String>,
    /// Admit users with a verified e-mail address of these domains
    ///
    /// Subdomains are not included. Without this option and those of groups, only users whom an administrator has invited may
    /// sign in. Example: `--oidc-allow-domain example.com`
    #[arg(long, value_name = "DOMAIN", num_args = 1.., requires = "oidc_issuer", value_parser = claims::domain)]
    oidc_allow_domain: Vec<String>,
    /// Admit members of these groups
    ///
    /// Write each name as an argument. Example: `--oidc-allow-group data-team 'Sales, Europe'`
    #[arg(long, value_name = "GROUP", num_args = 1.., requires = "oidc_issuer", value_parser = |text: &str| claims::group("--oidc-allow-group", text))]
    oidc_allow_group: Vec<String>,
    /// Admit members of these groups as administrators
    ///
    /// With this option or `--oidc-auditor-group`, the provider assigns the roles at each sign-in.
    #[arg(long, value_name = "GROUP", num_args = 1.., requires = "oidc_issuer", value_parser = |text: &str| claims::group("--oidc-admin-group", text))]
    oidc_admin_group: Vec<String>,
    /// Admit members of these groups as auditors
    #[arg(long, value_name = "GROUP", num_args = 1.., requires = "oidc_issuer", value_parser = |text: &str| claims::group("--oidc-auditor-group", text))]
    oidc_auditor_group: Vec<String>,
    /// Read the groups of a user from this claim [default: groups]
    ///
    /// A name that starts with `/` is a JSON Pointer: `/a/b` is the claim `b` in the claim `a`, and `/a.b` is a claim whose name
    /// has a dot. Example: `--oidc-groups-claim /realm_access/roles`
    #[arg(long, value_name = "CLAIM", requires = "oidc_issuer", default_value = "groups", hide_default_value = true, value_parser = claims::claim)]
    oidc_groups_claim: String,
    /// Ask the provider again this long after a sign-in
    ///
    /// A person whom the provider or these options no longer admit keeps a session at most so long. The browser goes to the
    /// provider and back between two pages, from half of this time on. At most 43200 (12 hours).
    #[arg(
        long,
        value_name = "SECONDS",
        requires = "oidc_issuer",
        default_value_t = 3600,
        value_parser = count::<60, 43_200>
    )]
    oidc_session: usize,
    /// Let applications renew their tokens this long after a sign-in
    ///
    /// A person whom the provider or these options no longer admit keeps the tokens of single-page applications at most so
    /// long, and the lifetime of an access token. Then the application asks the person to sign in again. At most 2592000 (30
    /// days).
    #[arg(
        long,
        value_name = "SECONDS",
        requires = "oidc_issuer",
        default_value_t = 86_400,
        value_parser = count::<60, 2_592_000>
    )]
    oidc_application_session: usize,
    /// Refuse login links, and print none
    ///
    /// Users sign in at the provider only.
    #[arg(long, requires = "oidc_issuer")]
    no_login_link: bool,
}

impl SignInArgs {
    /// Whether a login link is printed.
    pub(super) fn prints_link(&self) -> bool {
        !self.no_login_link
    }

    /// Returns the options of a workspace at `url`.
    pub(super) fn options(&self, url: &str) -> anyhow::Result<SignInOptions> {
        let rules = Rules {
            domains: self.oidc_allow_domain.clone(),
            groups: self.oidc_allow_group.clone(),
            administrators: self.oidc_admin_group.clone(),
            auditors: self.oidc_auditor_group.clone(),
            groups_claim: self.oidc_groups_claim.clone(),
        };
        rules_are_clear(&rules)?;
        let Some((issuer, client_id)) = self.oidc_issuer.clone().zip(self.oidc_client_id.clone()) else {
            return Ok(SignInOptions::default());
        };
        let provider = ProviderOptions {
            issuer,
            client_id,
            client_secret: self.oidc_client_secret_file.as_deref().map(secret).transpose()?,
            redirect_url: format!("{url}/login/callback"),
            signed_out_url: format!("{url}/"),
            // Every request has the scope `openid`.
            scopes: self.oidc_scope.iter().filter(|scope| *scope != "openid").cloned().collect(),
            claims: rules.need_groups().then(|| rules.groups_claim.clone()).into_iter().collect(),
            authorities: self.oidc_ca.clone(),
        };
        Ok(SignInOptions {
            provider: Some(provider),
            rules,
            refuses_links: self.no_login_link,
            session_lifetime: i64::try_from(self.oidc_session).unwrap_or(SignInOptions::SESSION_LIFETIME),
            application_lifetime: i64::try_from(self.oidc_application_session)
                .unwrap_or(SignInOptions::APPLICATION_LIFETIME),
        })
    }
}

/// Checks that no group has two roles.
fn rules_are_clear(rules: &Rules) -> anyhow::Result<()> {
    let Some(group) = rules.administrators.iter().find(|group| rules.auditors.contains(group)) else { return Ok(()) };
    bail!(
        "the group {} is given to `--oidc-admin-group` and to `--oidc-auditor-group`, but a user has one role\n\
         help: leave it out of `--oidc-auditor-group`, or its members become administrators",
        quoted(group)
    )
}

/// Reads the secret of a client: one line of visible characters. No error repeats it.
fn secret(path: &Path) -> anyhow::Result<String> {
    /// The maximum length of a file, in bytes.
    const MAX: u64 = 4096;
    let shown = file_name(path);
    let mut text = String::new();
    let file = Opened::open(path, "--oidc-client-secret-file")?;
    let read = file.take(MAX).read_to_string(&mut text);
    let line = text.trim_end_matches(['\r', '\n']);
    if read.is_err() || line.is_empty() || !line.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!(
            "{shown}: expected the secret of a client on one line, of visible ASCII characters\n\
             help: write it with `printf %s \"$SECRET\" > {}`",
            word(&path.display().to_string())
        );
    }
    Ok(line.to_owned())
}

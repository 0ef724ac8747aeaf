//! Signs users in at an OpenID provider: discovery, the authorization code flow with PKCE, and the checks of its answers.
//!
//! A [`Provider`] knows the provider's endpoints and keys. An [`Attempt`] is one sign-in of one browser: its state, nonce and
//! verifier are derived from the secret of the [`Browser`], so nothing of an attempt is stored. The result is a [`Person`].
#![forbid(unsafe_code)]

mod attempt;
mod http_client;
mod person;
mod provider;
mod refusal;
mod turns;
mod types;
mod verify;

pub use attempt::{Attempt, Browser};
pub use http_client::AuthorityError;
pub use person::Person;
pub use provider::{Answer, Issuer, IssuerError, Options, Provider};
pub use refusal::Refusal;

//! The frame of every page.

use maud::{DOCTYPE, Markup, html};

use super::assets::{SCRIPT, STYLE};
use super::words::safe;
use crate::identity::Identity;
use portcullis_registry::record::Role;

/// The part of the console that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Credentials,
    NamedSources,
    Connections,
    Trail,
    Report,
    Users,
    None,
}

/// The frame of a page.
pub(super) struct Shell<'a> {
    /// The path of the workspace, without a slash at its end.
    pub(super) base: &'a str,
    /// The user, if signed in.
    pub(super) user: Option<&'a Identity>,
    pub(super) tab: Tab,
    pub(super) title: &'a str,
    /// The URL that the browser opens at once.
    pub(super) refresh: Option<&'a str>,
    /// Whether the page leads to the parts of the console.
    pub(super) has_navigation: bool,
}

impl<'a> Shell<'a> {
    pub(super) fn new(base: &'a str, user: Option<&'a Identity>, tab: Tab, title: &'a str) -> Self {
        Self { base, user, tab, title, refresh: None, has_navigation: true }
    }
}

const TABS: [(Tab, &str, &str); 5] = [
    (Tab::Credentials, "/credentials/tokens", "Credentials"),
    (Tab::NamedSources, "/sources", "Named sources"),
    (Tab::Connections, "/connections", "Connections"),
    (Tab::Trail, "/trail", "Trail"),
    (Tab::Report, "/report", "Audit"),
];

/// The part for administrators and auditors.
const USERS: (Tab, &str, &str) = (Tab::Users, "/users", "Users");

/// Returns the document of a page.
pub(super) fn page(shell: &Shell<'_>, content: &Markup) -> Markup {
    let Shell { base, user, tab, title, refresh, has_navigation } = shell;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if let Some(url) = refresh { meta http-equiv="refresh" content={ "0;url=" (url) }; }
                title { (safe(title)) " · Portcullis" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href={ (base) "/assets/" (STYLE.name) };
                script src={ (base) "/assets/" (SCRIPT.name) } defer {}
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header.top {
                    div.wrap {
                        a.brand href={ (base) "/" } { (mark()) span { "Portcullis" } }
                        @if let Some(user) = user.filter(|_| *has_navigation) {
                            nav aria-label="Main" {
                                ul {
                                    @for (at, path, label) in TABS.into_iter().chain((user.role != Role::Developer).then_some(USERS)) {
                                        li { a href={ (base) (path) } aria-current=[(at == *tab).then_some("page")] { (label) } }
                                    }
                                }
                            }
                        }
                        @if let Some(user) = user {
                            form.account method="post" action={ (base) "/logout" } {
                                span.who title={ "Role: " (user.role.as_str()) } { (safe(&user.user)) }
                                button.quiet { "Sign out" }
                            }
                        }
                    }
                }
                main #main.wrap tabindex="-1" { (content) }
                footer.wrap {
                    a href={ (base) "/openapi.json" } { "HTTP API" }
                    span { "Portcullis " (env!("CARGO_PKG_VERSION")) }
                }
            }
        }
    }
}

/// The mark: a gate.
fn mark() -> Markup {
    html! {
        svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true" focusable="false" {
            path d="M3 18V9a7 7 0 0 1 14 0v9M7.5 18V3M12.500 18V3M3.500 8h13M3 13h14" fill="none" stroke="currentColor" stroke-width="1.600" stroke-linecap="round" {}
        }
    }
}

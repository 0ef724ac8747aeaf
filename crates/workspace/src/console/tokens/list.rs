//! The list of tokens.

use std::collections::HashMap;

use maud::{Markup, html};
use portcullis::base::Timestamp;
use portcullis_registry::record::{Role, Token, Usage};
use portcullis_registry::{Actor, Registry, TokenOrder, TokenPage, TokenPosition, TokenQuery};

use super::parts::{apis, badges, path};
use crate::api::check_search;
use crate::console::form::Form;
use crate::console::layout::Tab;
use crate::console::offered::Offered;
use crate::console::tabs::{Kind, tabs};
use crate::console::visit::{Shown, Visit};
use crate::console::words::{grant, safe, short, time};
use crate::cursor;
use crate::problem::Problem;
use crate::service::Workspace;

/// The number of tokens on a page.
const PAGE: usize = 25;

/// The number of grants and referers of a token that the list shows.
const SHOWN: usize = 3;

/// The orders, with their labels.
const ORDERS: [(&str, &str); 4] =
    [("-created", "Newest first"), ("created", "Oldest first"), ("name", "Name"), ("expiry", "Expiry")];

/// Shows a page of the tokens.
pub(super) async fn page(visit: Visit) -> Shown {
    let offered = Offered::read(&visit).await?;
    let filters = Filters::read(&visit.query);
    check_search(filters.search.as_deref())?;
    let after = filters.after(&visit.query)?;
    let now = Workspace::now();
    let asked = filters.clone();
    let read = move |registry: &mut Registry, actor: &Actor| {
        let (order, descending) = asked.order();
        let page = registry.token_page(
            actor,
            &TokenQuery {
                owner: asked.owner.as_deref(),
                search: asked.search.as_deref(),
                api: asked.api.as_deref(),
                connection: asked.connection.as_deref(),
                expired: asked.expired.map(|expired| (expired, now)),
                order,
                descending,
                after: after.as_ref(),
                limit: PAGE,
                max_read: None,
            },
        )?;
        let ids: Vec<&str> = page.tokens.iter().map(|token| &*token.id).collect();
        let usage = registry.usage_of(&ids)?;
        Ok((page, usage))
    };
    let (TokenPage { tokens, next }, usage) = visit.workspace().read(&visit.identity, read).await?;
    let usage: HashMap<&str, &Usage> = usage.iter().map(|usage| (&*usage.token, usage)).collect();
    let next = next.map(|next| {
        let cursor = cursor::write(&filters.text(), &[&next.key, &next.id]);
        let query = visit.query.query_without(&["cursor"]);
        format!("?{query}{}cursor={cursor}", if query.is_empty() { "" } else { "&" })
    });
    let content = html! {
        (tabs(&visit, Kind::Tokens, "/credentials/tokens/new", "Create token"))
        (search(&visit, &filters, &offered))
        @if tokens.is_empty() {
            @if filters.is_empty() {
                div.empty {
                    h2 { "No tokens yet" }
                    p { "A token lets a map, a notebook or a service read some sources of your warehouse." }
                    p { a.button.primary href=(visit.to("/credentials/tokens/new")) { "Create token" } }
                }
            } @else if let Some(next) = &next {
                div.empty {
                    h2 { "No token matches so far" }
                    p { "The registry has more tokens, which were not searched yet." }
                    p { a.button.primary href=(next) rel="next" { "Search on" } " " a href=(visit.to("/credentials/tokens")) { "Clear the filters" } }
                }
            } @else {
                div.empty { h2 { "No token matches" } p { a href=(visit.to("/credentials/tokens")) { "Clear the filters" } } }
            }
        } @else {
            div.table-wrap {
                table.list {
                    caption.hidden { "Tokens" }
                    thead { tr {
                        th scope="col" { "Name" } th scope="col" { "APIs" } th scope="col" { "Grants" } th scope="col" { "Referers" }
                        th scope="col" { "Expires" } th scope="col" { "Last used" } th scope="col" { span.hidden { "Actions" } }
                    } }
                    tbody { @for token in &tokens { (row(&visit, token, usage.get(&*token.id).copied(), now)) } }
                }
            }
            nav.pages aria-label="Pages" {
                @if visit.query.filled("cursor").is_some() { a.button.small href={ "?" (visit.query.query_without(&["cursor"])) } { "First page" } }
                @if let Some(next) = &next { a.button.small href=(next) rel="next" { "Next page" } }
            }
        }
    };
    Ok(visit.page(Tab::Credentials, "Tokens", &content))
}

/// What the user looks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Filters {
    search: Option<String>,
    owner: Option<String>,
    api: Option<String>,
    connection: Option<String>,
    expired: Option<bool>,
    order: String,
}

impl Filters {
    fn read(query: &Form) -> Self {
        let text = |name: &str| query.filled(name).map(ToOwned::to_owned);
        let order =
            ORDERS.iter().find(|(order, _)| *order == query.get("order")).map_or("-created", |(order, _)| order);
        Self {
            search: text("search"),
            owner: text("owner"),
            api: text("api"),
            connection: text("connection"),
            expired: match query.get("state") {
                "expired" => Some(true),
                "valid" => Some(false),
                _ => None,
            },
            order: order.to_owned(),
        }
    }

    fn is_empty(&self) -> bool {
        Self { order: String::new(), ..self.clone() } == Self::default()
    }

    fn order(&self) -> (TokenOrder, bool) {
        match &*self.order {
            "created" => (TokenOrder::Created, false),
            "name" => (TokenOrder::Name, false),
            "expiry" => (TokenOrder::Expiry, false),
            _ => (TokenOrder::Created, true),
        }
    }

    /// Returns a text that is equal for equal filters.
    fn text(&self) -> String {
        format!("console tokens {self:?}")
    }

    fn after(&self, query: &Form) -> Result<Option<TokenPosition>, Problem> {
        let Some(text) = query.filled("cursor") else { return Ok(None) };
        let [key, id] = cursor::read(&self.text(), text)?;
        Ok(Some(TokenPosition { key, id }))
    }
}

fn search(visit: &Visit, filters: &Filters, offered: &Offered) -> Markup {
    let value = |text: &Option<String>| text.clone().unwrap_or_default();
    let state = visit.query.get("state");
    html! {
        form.filters method="get" role="search" {
            div.field.grow { label for="search" { "Search" } input #search type="search" name="search" maxlength="200" value=(value(&filters.search)) placeholder="Name, id, source"; }
            div.field { label for="api" { "API" } select #api name="api" {
                option value="" { "All" }
                @for api in &offered.apis { option value=(api) selected[filters.api.as_deref() == Some(api)] { (safe(api)) } }
            } }
            div.field { label for="connection" { "Connection" } select #connection name="connection" {
                option value="" { "All" }
                @for known in &offered.connections { option value=(known.name) selected[filters.connection.as_deref() == Some(&known.name)] { (safe(&known.name)) } }
            } }
            div.field { label for="state" { "State" } select #state name="state" {
                option value="" { "All" }
                option value="valid" selected[state == "valid"] { "Valid" }
                option value="expired" selected[state == "expired"] { "Expired" }
            } }
            div.field { label for="order" { "Order" } select #order name="order" {
                @for (order, label) in ORDERS { option value=(order) selected[filters.order == order] { (label) } }
            } }
            @if visit.identity.role != Role::Developer {
                div.field { label for="owner" { "Owner" } input #owner type="text" name="owner" value=(value(&filters.owner)) maxlength="200"; }
            }
            button { "Search" }
        }
    }
}

fn row(visit: &Visit, token: &Token, usage: Option<&Usage>, now: Timestamp) -> Markup {
    let path = visit.to(&path(token));
    let more = |count: usize| count.checked_sub(SHOWN).filter(|more| *more > 0);
    html! {
        tr {
            th scope="row" data-label="Name" {
                a href=(path) { (short(&token.name)) }
                div.badges { (badges(token, now)) }
                @if token.owner != visit.identity.user { div.soft { (safe(&token.owner)) } }
            }
            td data-label="APIs" { (apis(token)) }
            td data-label="Grants" {
                @if token.grants.is_empty() { span.soft { "None" } }
                ul.plain { @for one in token.grants.iter().take(SHOWN) { li { (grant(one)) } } }
                @if let Some(more) = more(token.grants.len()) { span.soft { "and " (more) " more" } }
            }
            td data-label="Referers" {
                @if token.referers.is_empty() { span.soft { "Every page" } }
                ul.plain.whole { @for referer in token.referers.iter().take(SHOWN) { li { (short(referer)) } } }
                @if let Some(more) = more(token.referers.len()) { span.soft { "and " (more) " more" } }
            }
            td data-label="Expires" { @match token.expiration_date { Some(end) => { (time(end, now)) } None => { span.soft { "Never" } } } }
            td data-label="Last used" { @match usage { Some(usage) => { (time(usage.last_used, now)) } None => { span.soft { "Never" } } } }
            td.row-actions { @if visit.identity.role != Role::Auditor {
                a href={ (path) "/edit" } aria-label={ "Edit " (safe(&token.name)) } { "Edit" } " "
                a href={ (path) "/rotate" } aria-label={ "Rotate " (safe(&token.name)) } { "Rotate" } " "
                a.danger href={ (path) "/delete" } aria-label={ "Delete " (safe(&token.name)) } { "Delete" }
            } }
        }
    }
}

//! Pages of tokens and of the trail, compared with sorted and filtered lists.

use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;
use portcullis_document::load::Input;
use portcullis_registry::record::{Ticket, TicketKind, Token};
use portcullis_registry::{Actor, NewToken, Registry, TokenEdit, TokenOrder, TokenPosition, TokenQuery, TrailQuery};
use serde_json::json;

const NOW: &str = "2026-11-22T12:00:00Z";

fn admin() -> Actor {
    Actor::new("ana", NOW.parse().unwrap()).unwrap().for_all_users()
}

/// Names with characters that SQL patterns, sort orders or JSON treat specially.
const NAMES: [&str; 12] = [
    "map",
    "Map_1",
    "map%2",
    "MAP 3",
    "mapé",
    "Ünder",
    "under_score",
    "a\\b",
    "'quoted' \"twice\"",
    "日本語の地図",
    "zz",
    "Zy",
];

fn filled() -> Registry {
    let mut registry = super::empty();
    let tokens: Vec<_> = (0..48_usize)
        .map(|at| {
            let owner = ["ana", "bo"][at % 2];
            let connection = ["dw", "lake"][at % 2];
            let apis: &[&str] = if at % 3 == 0 { &["maps"] } else { &["sql", "maps"] };
            let source = format!("Db.tables_{}.t_{}", at % 5, at % 4);
            let mut token = json!({
                "id": format!("t{:02}", at * 7 % 48),
                "name": format!("{} {}", NAMES[at % 12], at / 12),
                "owner": owner,
                "token": format!("secret {at}"),
                "allowed_apis": apis,
                "grants": [{"connection_name": connection, "source": source}],
            });
            if at % 4 != 0 {
                token["created_at"] = json!(format!("2026-11-{:02}T00:00:00Z", 1 + at % 9));
            }
            if at % 3 != 0 {
                token["expiration_date"] = json!(format!("2026-11-{:02}T12:00:00Z", 18 + at % 9));
            }
            token
        })
        .collect();
    registry.import(&admin(), &Input::new("tokens", json!(tokens).to_string())).unwrap();
    registry
}

fn key(order: TokenOrder, token: &Token) -> (String, String) {
    let key = order.key(token);
    (if order == TokenOrder::Name { key.to_ascii_lowercase() } else { key }, token.id.clone())
}

fn matches(query: &TokenQuery<'_>, token: &Token) -> bool {
    let grants = token.grants.iter().flat_map(|grant| [&*grant.connection, &*grant.source]);
    let texts: Vec<&str> = [&*token.id, &*token.name, &*token.owner].into_iter().collect();
    let texts = texts.into_iter().chain(token.allowed_apis.iter().map(String::as_str)).chain(grants);
    let text = texts.collect::<Vec<_>>().join("\n").to_ascii_lowercase();
    let is_found = query.search.is_none_or(|search| {
        let search = search.to_ascii_lowercase();
        if search.chars().count() < 3 {
            token.name.to_ascii_lowercase().starts_with(&search)
        } else {
            text.contains(&search)
        }
    });
    is_found
        && query.owner.is_none_or(|owner| token.owner == owner)
        && query.api.is_none_or(|api| token.allowed_apis.iter().any(|known| known == api))
        && query.connection.is_none_or(|name| token.grants.iter().any(|grant| grant.connection == name))
        && query.expired.is_none_or(|(expired, at)| token.is_expired(at) == expired)
}

#[test]
fn pages_have_every_matching_token_once_in_every_order() {
    let mut registry = filled();
    let all = registry.tokens(&admin()).unwrap();
    let now: Timestamp = NOW.parse().unwrap();
    let searches = [
        None,
        Some("map"),
        Some("MAP"),
        Some("map_"),
        Some("%2"),
        Some("ap%2"),
        Some("p_1"),
        Some("a\\b"),
        Some("s_sco"),
        Some("'quoted' \"tw"),
        Some("本語の"),
        Some("日"),
        Some("ü"),
        Some("Ünd"),
        Some("db.TABLES_3"),
        Some("t%1"),
        Some(".t_1"),
        Some("lake"),
        Some("bo\nsql"),
        Some("none at all"),
        Some("m"),
        Some("_"),
        Some("%"),
        Some("zy"),
    ];
    let filters: [TokenQuery<'_>; 6] = [
        TokenQuery::default(),
        TokenQuery { owner: Some("bo"), ..TokenQuery::default() },
        TokenQuery { api: Some("sql"), ..TokenQuery::default() },
        TokenQuery { connection: Some("lake"), ..TokenQuery::default() },
        TokenQuery { expired: Some((true, now)), ..TokenQuery::default() },
        TokenQuery { expired: Some((false, now)), owner: Some("ana"), ..TokenQuery::default() },
    ];
    let mut rounds = 0;
    for search in searches {
        for filter in &filters {
            for order in [TokenOrder::Created, TokenOrder::Name, TokenOrder::Expiry] {
                for descending in [false, true] {
                    // Few tokens are read without the index, or all of them.
                    let max_read = [None, Some(20), Some(5)][rounds % 3];
                    rounds += 1;
                    let query = TokenQuery { search, order, descending, limit: 7, max_read, ..filter.clone() };
                    let mut expected: Vec<&Token> = all.iter().filter(|token| matches(&query, token)).collect();
                    expected.sort_by_key(|token| key(order, token));
                    if descending {
                        expected.reverse();
                    }
                    let (mut listed, mut after): (Vec<Token>, Option<TokenPosition>) = (Vec::new(), None);
                    loop {
                        let page = TokenQuery { after: after.as_ref(), ..query.clone() };
                        let page = registry.token_page(&admin(), &page).unwrap();
                        assert!(page.tokens.len() <= 7);
                        listed.extend(page.tokens);
                        after = page.next;
                        if after.is_none() {
                            break;
                        }
                    }
                    assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{query:?}");
                }
            }
        }
    }
}

#[test]
fn search_follows_edits_and_leaves_out_access_tokens() {
    let mut registry = filled();
    let find = |registry: &mut Registry, search: &str| {
        let query = TokenQuery { search: Some(search), limit: 100, ..TokenQuery::default() };
        registry.token_page(&admin(), &query).unwrap().tokens.into_iter().map(|token| token.id).collect::<Vec<_>>()
    };
    let new = NewToken { name: Some("first name".into()), apis: vec!["lds".into()], ..NewToken::default() };
    let id = registry.create_token(&admin(), &new).unwrap().token.id;
    assert_eq!(find(&mut registry, "IRST NA"), std::slice::from_ref(&id));
    let edit = TokenEdit { name: Some("second name".into()), ..TokenEdit::default() };
    registry.update_token(&admin(), &id, &edit).unwrap();
    assert_eq!(find(&mut registry, "first name"), Vec::<String>::new());
    assert_eq!(find(&mut registry, "second name"), std::slice::from_ref(&id));
    let ticket = Ticket {
        kind: TicketKind::AccessToken,
        digest: SecretDigest::of("access"),
        user: "ana".into(),
        client: None,
        family: None,
        token: Some(id.clone()),
        expires: "2026-11-23T00:00:00Z".parse().unwrap(),
        body: vec![0, 255],
    };
    registry.put_ticket(&ticket).unwrap();
    let now: Timestamp = NOW.parse().unwrap();
    assert_eq!(registry.ticket(TicketKind::AccessToken, &ticket.digest, now).unwrap(), Some(ticket.clone()));
    assert_eq!(find(&mut registry, "second name"), Vec::<String>::new());
    // A ticket ends with its token.
    registry.delete_token(&admin(), &id, true).unwrap();
    assert_eq!(registry.ticket(TicketKind::AccessToken, &ticket.digest, now).unwrap(), None);
}

#[test]
fn ticket_is_taken_once_and_not_after_its_expiry() {
    let mut registry = super::empty();
    let ticket = |secret: &str, expires: &str| Ticket {
        kind: TicketKind::Code,
        digest: SecretDigest::of(secret),
        user: "ana".into(),
        client: None,
        family: Some("family".into()),
        token: None,
        expires: expires.parse().unwrap(),
        body: b"content".to_vec(),
    };
    let (live, expired) = (ticket("live", "2026-11-22T12:00:01Z"), ticket("expired", NOW));
    registry.put_ticket(&live).unwrap();
    registry.put_ticket(&expired).unwrap();
    let mut take =
        |ticket: &Ticket| registry.take_ticket(TicketKind::Code, &ticket.digest, NOW.parse().unwrap()).unwrap();
    assert_eq!(take(&live), Some(live.clone()));
    assert_eq!(take(&live), None);
    assert_eq!(take(&expired), None);
    assert_eq!(registry.revision().unwrap(), 0, "no decision depends on tickets");
}

#[test]
fn pages_of_the_trail_have_every_visible_entry_once() {
    let mut registry = filled();
    let bo = Actor::new("bo", NOW.parse().unwrap()).unwrap();
    registry.add_connection(&bo, "new", "generic", None, false).unwrap();
    for actor in [admin(), bo, Actor::new("cy", NOW.parse().unwrap()).unwrap()] {
        let mut expected = registry.trail(&actor).unwrap();
        expected.reverse();
        let (mut listed, mut before) = (Vec::new(), None);
        loop {
            let page = registry.trail_page(&actor, &TrailQuery { before, limit: 7, ..TrailQuery::default() }).unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.number);
            listed.extend(page);
        }
        assert_eq!(listed, expected);
        let one = TrailQuery { id: Some("new"), limit: 7, ..TrailQuery::default() };
        assert_eq!(registry.trail_page(&actor, &one).unwrap().len(), 1);
    }
}

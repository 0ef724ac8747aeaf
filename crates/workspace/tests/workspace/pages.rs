//! Pages of tokens while other callers write.

use std::collections::BTreeSet;

use super::server::{Reply, Server};

fn ids(reply: &Reply) -> Vec<String> {
    let json = reply.json();
    json["tokens"].as_array().unwrap().iter().map(|token| token["id"].as_str().unwrap().to_owned()).collect()
}

fn create(server: &Server, access: &str, name: &str) -> String {
    let body = format!(r#"{{"name": "{name}", "allowed_apis": ["lds"]}}"#);
    server.post(access, "/v3/tokens", &body).expect(201).text("id")
}

#[test]
fn every_untouched_token_is_listed_once_while_others_write() {
    let server = Server::start();
    let access = server.access("ana");
    let untouched: BTreeSet<_> = (0..23).map(|number| create(&server, &access, &format!("keep {number:02}"))).collect();
    for sort in ["created_at", "-created_at", "name", "-name", "expiration_date", "-expiration_date"] {
        let (mut seen, mut cursor, mut round) = (Vec::new(), String::new(), 0);
        let mut doomed = create(&server, &access, &format!("a doomed {sort}"));
        loop {
            let page = server.get(&access, &format!("/v3/tokens?limit=5&sort={sort}{cursor}")).expect(200);
            seen.extend(ids(&page));
            // Others add and delete between the pages, at both ends of each order.
            round += 1;
            create(&server, &access, &format!("a {sort} {round}"));
            create(&server, &access, &format!("z {sort} {round}"));
            server.call(&access, "DELETE", &format!("/v3/tokens/{doomed}"), &[("if-match", "*")], "").expect(204);
            doomed = create(&server, &access, &format!("k doomed {sort} {round}"));
            match page.json()["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
            assert!(round < 200, "pages end");
        }
        let kept: Vec<_> = seen.iter().filter(|id| untouched.contains(*id)).collect();
        assert_eq!(kept.len(), untouched.len(), "{sort}: each once");
        assert_eq!(kept.iter().collect::<BTreeSet<_>>().len(), untouched.len(), "{sort}");
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "{sort}: no token twice");
    }
}

#[test]
fn tokens_are_found_by_what_they_are_called_and_grant() {
    let server = Server::start();
    let access = server.access("ana");
    let make = |body: &str| server.post(&access, "/v3/tokens", body).expect(201).text("id");
    let web = make(
        r#"{"name": "Web Map", "allowed_apis": ["maps"], "grants": [{"connection_name": "carto_dw", "source": "carto.shared.CARTO_*"}], "expiration_date": "30d"}"#,
    );
    let sql = make(
        r#"{"name": "Müller 100%", "allowed_apis": ["sql"], "grants": [{"connection_name": "other", "source": "select \"a_b\" from t"}]}"#,
    );
    let list = |query: &str| ids(&server.get(&access, &format!("/v3/tokens?{query}")).expect(200));
    let check = |when: &str| {
        for (query, want, why) in [
            ("search=web%20map", &[&web][..], "a name, in any case"),
            (&format!("search={}", web.trim_start_matches("tk_")), &[&web], "a part of an id"),
            ("search=carto.shared", &[&web], "a source"),
            ("search=O_*", &[&web], "a star is an ordinary character"),
            ("search=a_b%22", &[&sql], "an underscore is an ordinary character"),
            ("search=axb%22", &[], "an underscore is not a wildcard"),
            ("search=100%25", &[&sql], "a per cent sign is an ordinary character"),
            ("search=%25%25%25", &[], "a per cent sign is not a wildcard"),
            ("search=%22a_b%22", &[&sql], "a quote"),
            ("search=M%C3%BCller", &[&sql], "beyond ASCII"),
            ("search=we", &[&web], "two characters at the start of a name"),
            ("search=ap", &[], "two characters only at the start"),
            ("search=ana", &[&sql, &web], "the owner"),
            ("search=nothing-has-this", &[], "no match"),
            ("api=maps", &[&web], "an API"),
            ("connection=other", &[&sql], "a connection"),
            ("connection=othe", &[], "a connection has its whole name"),
            ("search=ana&api=sql&connection=other", &[&sql], "all of them"),
            ("expired=false", &[&sql, &web], "none has expired"),
            ("expired=true", &[], "none has expired"),
            ("sort=name&search=ana", &[&sql, &web], "sorted"),
            ("sort=expiration_date", &[&web, &sql], "never is the last"),
            ("owner=bo", &[], "another user"),
        ] {
            let (mut found, mut want) = (list(query), want.iter().map(ToString::to_string).collect::<Vec<_>>());
            if !query.starts_with("sort") {
                found.sort();
                want.sort();
            }
            assert_eq!(found, want, "{when}, {why}: {query}");
        }
    };
    check("before the texts are indexed");
    let index = || server.registry(|registry| registry.index_texts(100).unwrap());
    // PostgreSQL indexes each text with its token.
    assert!([(2, 0), (0, 0)].contains(&(index(), index())));
    check("after the texts are indexed");
    // The index follows edits and deletions.
    let path = format!("/v3/tokens/{web}");
    server.call(&access, "PATCH", &path, &[("if-match", "*")], r#"{"name": "Kiosk"}"#).expect(200);
    assert_eq!((list("search=web%20map"), list("search=kiosk")), (vec![], vec![web.clone()]));
    assert!([(1, 0), (0, 0)].contains(&(index(), index())));
    assert_eq!((list("search=web%20map"), list("search=kiosk")), (vec![], vec![web]));
    server.call(&access, "DELETE", &path, &[("if-match", "*")], "").expect(204);
    assert_eq!(list("search=kiosk"), Vec::<String>::new());
}

#[test]
fn a_cursor_belongs_to_its_list() {
    let server = Server::start();
    let access = server.access("ana");
    for number in 0..3 {
        create(&server, &access, &format!("t{number}"));
    }
    let cursor = server.get(&access, "/v3/tokens?limit=1&sort=name").expect(200).text("next_cursor");
    server.get(&access, &format!("/v3/tokens?limit=2&sort=name&cursor={cursor}")).expect(200);
    for other in ["sort=-name", "sort=name&search=abc", "sort=name&api=lds"] {
        server.get(&access, &format!("/v3/tokens?{other}&cursor={cursor}")).problem(400, "invalid_cursor");
    }
    let page = server.get(&access, "/v3/trail?limit=2").expect(200).json();
    let next = page["next_cursor"].as_str().unwrap();
    let second = server.get(&access, &format!("/v3/trail?limit=2&cursor={next}")).expect(200).json();
    assert_eq!(page["entries"][1]["number"].as_u64().unwrap() - 1, second["entries"][0]["number"].as_u64().unwrap());
}

#[test]
fn the_catalog_is_listed_by_page_and_search() {
    let names = (0..120).map(|number| ("carto_dw".to_owned(), format!("carto.shared.Table_{number:03}")));
    let names: Vec<_> = names.chain([("other".to_owned(), "s.roads".to_owned())]).collect();
    let server = Server::start_with(|options| options.catalog = portcullis_workspace::Catalog::new(names).unwrap());
    let access = server.access("ana");
    let list = |query: &str| server.get(&access, &format!("/v3/catalog?{query}")).expect(200).json();
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = list(&format!("limit=50&search=TABLE{cursor}"));
        assert_eq!(page["total"], 121);
        found.extend(page["names"].as_array().unwrap().iter().map(|name| name["name"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found.len(), 120);
    assert!(found.is_sorted());
    assert_eq!(list("connection=other")["names"][0]["name"], "s.roads");
    assert_eq!(list("connection=none")["names"].as_array().unwrap().len(), 0);
    server.get(&access, "/v3/catalog?limit=201").problem(400, "invalid_parameter");
}

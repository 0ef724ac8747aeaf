//! Sign-in, consent and sign-out in a browser.

use super::{CALLBACK, Spa, answer, sign_in};

#[test]
fn a_sign_in_returns_to_the_authorization_that_needs_it() {
    let spa = Spa::start();
    let path = format!("/oauth/authorize?{}", spa.query(&[]));
    let page = spa.server.send("GET", &path, &[], "").expect(200);
    let back = page.header("set-cookie").unwrap().to_owned();
    assert!(back.contains("HttpOnly") && back.contains("SameSite=Lax"), "{back}");
    let back = back.split(';').next().unwrap();
    let follow = |back: &str| {
        let link = spa.server.block_on(spa.server.workspace.login_link("ana")).unwrap();
        let link = link.split_once(&spa.server.address).unwrap().1.to_owned();
        spa.server.send("GET", &link, &[("cookie", back)], "").expect(303)
    };
    let reply = follow(back);
    assert_eq!(reply.header("location"), Some(&*path));
    let cookies: Vec<_> = reply.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, it)| it).collect();
    assert!(cookies.iter().any(|cookie| cookie.starts_with("portcullis-back=;")), "it is forgotten: {cookies:?}");
    // Nobody sends the user elsewhere: `//evil.example/oauth/authorize?a`, and text that is not encoded.
    for other in ["portcullis-back=Ly9ldmlsLmV4YW1wbGUvb2F1dGgvYXV0aG9yaXplP2E", "portcullis-back=//evil.example", ""] {
        assert_eq!(follow(other).header("location"), Some("/"), "{other}");
    }
}

/// The cookie of a session is `SameSite=Strict`: the first request that comes from the application has none.
#[test]
fn a_request_from_another_site_is_repeated_by_a_page_of_the_workspace() {
    let spa = Spa::start();
    let path = format!("/oauth/authorize?{}", spa.query(&[("prompt", vec!["none".into()])]));
    let send = |site: &str, dest: &str| {
        let headers = [("sec-fetch-site", site), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", dest)];
        spa.server.send("GET", &path, &headers, "")
    };
    let page = send("cross-site", "document").expect(200);
    let escaped = path.replace('&', "&amp;");
    assert!(page.body.contains(&format!("http-equiv=\"refresh\" content=\"0;url={escaped}\"")), "{}", page.body);
    // Neither the repeated request nor a frame of another site is repeated again.
    for (site, dest) in [("same-origin", "document"), ("cross-site", "iframe"), ("none", "document")] {
        let fields = answer(&send(site, dest).expect(303));
        assert!(fields.contains(&("error".into(), "login_required".into())), "{site} {dest}: {fields:?}");
    }
}

#[test]
fn a_consent_is_the_decision_of_the_user_on_a_page_of_the_workspace() {
    let spa = Spa::start();
    let page = spa.authorize(&[]).expect(200);
    for text in
        ["Atlas", "https://app.example.com", "Atlas is registered by bo", "carto.shared.*", "read:tokens", "30 days"]
    {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    for text in ["Read tables that match <code>carto.shared.*</code>", "Use the API: maps<"] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    assert!(!page.body.contains("aria-label=\"Main\""), "nothing leads away from the decision: {}", page.body);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("form-action 'self' https://app.example.com;"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    // A form of another site, or of another session, decides nothing.
    let own = format!("http://{}", spa.server.address);
    let cleo = sign_in(&spa.server, "cleo");
    let allow = ("decision", "allow");
    for (cookie, origin, why) in [
        (&*spa.cookie, "https://app.example.com", "a form of the application itself"),
        (&spa.cookie, "null", "a sandboxed page"),
        (&cleo, &*own, "a form for another session"),
        ("", &own, "no session"),
    ] {
        let reply = spa.submit_with(&page, allow, &[("cookie", cookie), ("origin", origin)]);
        assert_eq!((reply.status, reply.header("location")), (403, None), "{why}: {reply:?}");
    }
    // Of another request: the form is for this one.
    let other = spa.authorize(&[("scope", "openid write:tokens")]).expect(200);
    let mixed = super::super::server::Reply {
        body: other.body.replace(&super::field(&other, "token"), &super::field(&page, "token")),
        ..other
    };
    assert_eq!(spa.submit(&mixed, allow).status, 403);
    let denied = answer(&spa.submit(&page, ("decision", "deny")).expect(303));
    assert!(denied.contains(&("error".into(), "access_denied".into())), "{denied:?}");
    let consents = || spa.server.registry(|registry| registry.consents(&super::actor("ana")).unwrap());
    assert_eq!(consents(), []);
    let allowed = spa.submit(&page, allow).expect(303);
    assert!(allowed.header("location").unwrap().starts_with(&format!("{CALLBACK}?code=")), "{allowed:?}");
    assert_eq!(consents().len(), 1);
    // Nobody is asked again, until the client may read something else.
    spa.authorize(&[]).expect(303);
    spa.server.registry(|registry| {
        let edit = portcullis_registry::ClientEdit {
            apis: Some(vec!["sql".into(), "maps".into()]),
            ..portcullis_registry::ClientEdit::default()
        };
        let kind = portcullis_registry::record::ClientKind::Spa;
        registry.update_client(&super::actor("bo"), kind, &spa.id, &edit).unwrap();
    });
    spa.authorize(&[]).expect(200);
}

#[test]
fn a_consent_is_about_the_application_that_the_page_has_shown() {
    let spa = Spa::start();
    let edit = |edit: portcullis_registry::ClientEdit| {
        let kind = portcullis_registry::record::ClientKind::Spa;
        spa.server.registry(|registry| registry.update_client(&super::actor("bo"), kind, &spa.id, &edit).unwrap());
    };
    let none = portcullis_registry::ClientEdit::default;
    for (change, why) in [
        (portcullis_registry::ClientEdit { apis: Some(vec!["sql".into(), "maps".into()]), ..none() }, "other APIs"),
        (portcullis_registry::ClientEdit { title: Some("Your bank".into()), ..none() }, "another title"),
        (
            portcullis_registry::ClientEdit {
                add: portcullis_registry::record::Urls {
                    web_origins: vec!["https://evil.example".into()],
                    ..portcullis_registry::record::Urls::default()
                },
                ..none()
            },
            "another origin",
        ),
    ] {
        let page = spa.authorize(&[]).expect(200);
        edit(change);
        let refused = spa.submit(&page, ("decision", "allow")).expect(403);
        assert!(refused.body.contains("the application has changed since"), "{why}: {refused:?}");
    }
    let page = spa.authorize(&[]).expect(200);
    spa.submit(&page, ("decision", "allow")).expect(303);
}

#[test]
fn a_consent_to_a_varying_port_is_not_remembered() {
    let spa = Spa::start();
    for (uri, policy) in [
        ("http://127.0.0.1:41234/native", "form-action 'self' http://127.0.0.1:41234;"),
        ("http://127.0.0.1:41234/native", "form-action 'self' http://127.0.0.1:41234;"),
        // A policy cannot name an IPv6 address.
        ("http://[::1]:41234/native", "form-action 'self' http:;"),
    ] {
        let page = spa.authorize(&[("redirect_uri", uri)]).expect(200);
        assert!(page.header("content-security-policy").unwrap().contains(policy), "{page:?}");
        assert!(page.body.contains("a program on this machine"), "{}", page.body);
        spa.submit(&page, ("decision", "allow")).expect(303);
    }
}

#[test]
fn the_end_of_a_consent_revokes_everything_of_that_user() {
    let spa = Spa::start();
    let first = spa.tokens();
    let cleo = Spa { cookie: sign_in(&spa.server, "cleo"), id: spa.id.clone(), server: spa.server };
    let other = cleo.tokens();
    cleo.server.registry(|registry| registry.end_consent(&super::actor("ana"), &cleo.id).unwrap());
    assert!(!cleo.is_live(&first) && cleo.is_live(&other));
    assert_eq!(cleo.refresh(&first.text("refresh_token")).text("error"), "invalid_grant");
    let trail = cleo.server.registry(|registry| registry.trail(&super::actor("ana")).unwrap());
    let actions: Vec<_> = trail.iter().filter(|it| it.kind == "consent").map(|it| (&*it.action, &*it.user)).collect();
    assert_eq!(actions, [("give", "ana"), ("end", "ana")]);
}

#[test]
fn a_sign_out_ends_the_session_and_goes_only_to_registered_pages() {
    let spa = Spa::start();
    let id_token = spa.tokens().text("id_token");
    let id = spa.id.clone();
    let bye = "post_logout_redirect_uri=https://app.example.com/bye";
    let machine = spa.server.machine("ana", None).id;
    for (query, why) in [
        (format!("client_id={id}&post_logout_redirect_uri=https://evil.example/"), "another site"),
        (format!("client_id={id}&post_logout_redirect_uri={CALLBACK}"), "a callback"),
        (format!("client_id={id}&post_logout_redirect_uri=https://app.example.com/bye/"), "a longer path"),
        (bye.to_owned(), "no client"),
        (format!("client_id=spa_0000000000&{bye}"), "an unknown client"),
        (format!("client_id={machine}&{bye}"), "a machine"),
        (format!("client_id={id}&{bye}&{bye}"), "a repeated page"),
        (format!("client_id=other&{bye}&id_token_hint={id_token}"), "the ID token of another client"),
    ] {
        let reply = spa.open(&format!("/oauth/logout?{query}"));
        assert_eq!((reply.status, reply.header("location")), (400, None), "{why}: {reply:?}");
    }
    spa.open("/credentials/tokens").expect(200);
    // Without an ID token of the user, the user is asked: any page can open this address.
    for query in [format!("client_id={id}&{bye}&state=x"), format!("client_id={id}&{bye}&id_token_hint=e30.e30.e30")] {
        let page = spa.open(&format!("/oauth/logout?{query}")).expect(200);
        assert!(page.body.contains("Sign out?"), "{}", page.body);
        spa.open("/credentials/tokens").expect(200);
    }
    let page = spa.open(&format!("/v2/logout?client_id={id}&returnTo=https://app.example.com/bye&state=x")).expect(200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("form-action 'self' https://app.example.com;"), "{policy}");
    let evil = [("cookie", &*spa.cookie), ("origin", "https://evil.example")];
    assert_eq!(spa.submit_with(&page, ("x", ""), &evil).status, 403);
    spa.open("/credentials/tokens").expect(200);
    let reply = spa.submit(&page, ("x", "")).expect(303);
    assert_eq!(reply.header("location"), Some("https://app.example.com/bye?state=x"));
    assert!(reply.header("set-cookie").unwrap().starts_with("portcullis=;"), "{reply:?}");
    spa.open("/credentials/tokens").expect(401);
    // With the ID token of the user, at once. Of another user, the user is asked.
    for (user, status) in [("cleo", 200), ("ana", 303)] {
        let cookie = sign_in(&spa.server, user);
        let path = format!("/oauth/logout?{bye}&id_token_hint={id_token}");
        let reply = spa.server.send("GET", &path, &[("cookie", &cookie)], "").expect(status);
        let next = (status == 303).then_some("https://app.example.com/bye");
        assert_eq!(reply.header("location"), next, "{user}");
        let left = spa.server.send("GET", "/credentials/tokens", &[("cookie", &cookie)], "").status;
        assert_eq!(left, if status == 303 { 401 } else { 200 }, "{user}");
    }
    // Nobody is signed in: there is nothing to end.
    let reply = spa.server.send("GET", &format!("/oauth/logout?client_id={id}&{bye}"), &[], "").expect(303);
    assert_eq!(reply.header("location"), Some("https://app.example.com/bye"));
}

#[test]
fn the_console_lists_the_applications_of_the_user_and_ends_them() {
    let spa = Spa::start();
    assert!(spa.open("/applications").expect(200).body.contains("No applications"));
    let tokens = spa.tokens();
    let page = spa.open("/applications").expect(200);
    for text in ["Atlas", "carto.shared.*", "read:tokens", "offline_access"] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    let path = format!("/applications/{}/end", spa.id);
    let (own, cleo) = (format!("http://{}", spa.server.address), sign_in(&spa.server, "cleo"));
    let end =
        |cookie: &str, origin: &str| spa.server.send("POST", &path, &[("cookie", cookie), ("origin", origin)], "");
    assert_eq!(end(&spa.cookie, "https://app.example.com").status, 403);
    end(&cleo, &own).expect(303);
    assert!(spa.is_live(&tokens), "another user ends nothing of this one");
    end(&spa.cookie, &own).expect(303);
    assert!(!spa.is_live(&tokens));
    assert!(spa.open("/applications").expect(200).body.contains("No applications"));
    spa.authorize(&[]).expect(200);
}

#[test]
fn an_auditor_may_sign_in_to_an_application() {
    let spa = Spa::start();
    let auditor = sign_in(&spa.server, "cleo");
    spa.server.registry(|registry| {
        let role = portcullis_registry::record::Role::Auditor;
        registry.set_role(&super::actor("root").for_all_users(), "cleo", role).unwrap();
    });
    let spa = Spa { cookie: auditor, ..spa };
    let tokens = spa.tokens();
    assert!(spa.is_live(&tokens));
    spa.refresh(&tokens.text("refresh_token")).expect(200);
    spa.server.registry(|registry| registry.end_consent(&super::actor("cleo"), &spa.id).unwrap());
    assert!(!spa.is_live(&tokens));
}

#[test]
fn the_form_of_an_application_has_its_access() {
    let spa = Spa::start();
    let bo = Spa { cookie: sign_in(&spa.server, "bo"), id: spa.id, server: spa.server };
    let path = format!("/credentials/spa/{}/edit", bo.id);
    let page = bo.open(&path).expect(200);
    let version = super::field(&page, "version");
    let own = format!("http://{}", bo.server.address);
    let send = |path: &str, form: &str| {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        bo.server.send("POST", path, &[("cookie", &bo.cookie), ("origin", &own), kind], form)
    };
    let grant = |source: &str| format!("&grant_connection=carto_dw&grant_kind=name&grant_source={source}");
    let base = format!("version={version}&title=Atlas&callbacks=https://a.example/cb&api=sql&scope=read:tokens");
    // A button that only adds a row saves nothing, and keeps the version.
    let more = send(&path, &format!("{base}{}&action=add", grant("carto.shared.a"))).expect(200);
    assert_eq!(super::field(&more, "version"), version);
    assert_eq!(more.body.matches("name=\"grant_source\"").count(), 3, "two rows and the template");
    let wrong = send(&path, &format!("{base}{}&action=save", grant("carto..a"))).expect(400);
    assert!(wrong.body.contains("carto..a"), "{}", wrong.body);
    send(&path, &format!("{base}{}{}&action=save", grant("carto.shared.a"), grant("carto.x.*"))).expect(303);
    let read = |id: &str| {
        let kind = portcullis_registry::record::ClientKind::Spa;
        bo.server.registry(|registry| registry.client(&super::actor("bo"), kind, id).unwrap())
    };
    let client = read(&bo.id);
    assert_eq!(client.allowed_apis, ["sql"]);
    assert_eq!(client.grants.iter().map(|it| &*it.source).collect::<Vec<_>>(), ["carto.shared.a", "carto.x.*"]);
    assert_eq!(client.scopes, Some(vec!["read:tokens".to_owned()]));
    let new = bo.open("/credentials/spa/new").expect(200);
    let key = super::field(&new, "key");
    let base = format!("key={key}&title=New&callbacks=https://n.example/cb&web_origins=https://n.example&api=maps");
    let made = send("/credentials/spa/new", &format!("{base}{}&action=save", grant("carto.shared.b"))).expect(303);
    let id = made.header("location").unwrap().split('/').nth(3).unwrap();
    assert_eq!((read(id).allowed_apis, read(id).grants.len()), (vec!["maps".to_owned()], 1));
}

//! Who may sign in, and as which user.

use portcullis_registry::UserEdit;
use portcullis_registry::record::{ClientKind, Role};
use portcullis_workspace::Rules;
use serde_json::{Value, json};

use super::super::fake_provider::merge;
use super::super::server::{Server, actor};
use super::{Site, check_failure};

/// The user and the role after a sign-in, or the sentence of the failure.
type Expected = Result<(&'static str, Role), &'static str>;

/// Claims, rules and the records of users, with the name of the user or the sentence of the failure.
#[test]
fn only_admitted_persons_sign_in() {
    let domain = Rules { domains: vec!["Example.com".to_owned()], ..Rules::default() };
    let groups = Rules {
        groups: vec!["data".to_owned()],
        administrators: vec!["admins".to_owned()],
        auditors: vec!["audit".to_owned()],
        groups_claim: "groups".to_owned(),
        ..Rules::default()
    };
    let none = Rules::default();
    let may_not = "may not use this workspace";
    let cases: Vec<(&str, &Rules, Value, Expected)> = vec![
        ("an invited address", &none, json!({"email": "bo@example.com"}), Ok(("bo@example.com", Role::Auditor))),
        (
            "an address in other letters",
            &none,
            json!({"email": "BO@Example.COM"}),
            Ok(("bo@example.com", Role::Auditor)),
        ),
        ("an address of a name", &none, json!({"email": "carla@example.com"}), Ok(("carla", Role::Developer))),
        ("a name is no address", &none, json!({"email": "carla"}), Err(may_not)),
        (
            "an address that is not verified",
            &none,
            json!({"email": "bo@example.com", "email_verified": false}),
            Err(may_not),
        ),
        (
            "an address of which nothing is known",
            &none,
            json!({"email": "bo@example.com", "email_verified": null}),
            Err(may_not),
        ),
        ("a stranger", &none, json!({"email": "eve@example.com"}), Err(may_not)),
        ("no address", &none, json!({}), Err(may_not)),
        ("a disabled user", &none, json!({"email": "dora@example.com"}), Err("is disabled")),
        ("a disabled user of a domain", &domain, json!({"email": "dora@example.com"}), Err("is disabled")),
        ("a domain", &domain, json!({"email": "Eve@example.com"}), Ok(("eve@example.com", Role::Developer))),
        (
            "a domain that is not verified",
            &domain,
            json!({"email": "eve@example.com", "email_verified": false}),
            Err(may_not),
        ),
        ("a longer domain", &domain, json!({"email": "eve@example.com.evil.example"}), Err(may_not)),
        ("a subdomain", &domain, json!({"email": "eve@a.example.com"}), Err(may_not)),
        ("two domains", &domain, json!({"email": "eve@evil.example@example.com"}), Err(may_not)),
        ("another account of a user", &domain, json!({"email": "root@example.com"}), Err("is of another account")),
        ("a group without an address", &groups, json!({"groups": ["data"]}), Ok(("oidc:ana-7", Role::Developer))),
        (
            "a subject that is a name",
            &groups,
            json!({"groups": ["data"], "sub": "root"}),
            Ok(("oidc:root", Role::Developer)),
        ),
        ("an administrator", &groups, json!({"groups": ["data", "admins"]}), Ok(("oidc:ana-7", Role::Administrator))),
        ("an auditor", &groups, json!({"groups": "audit"}), Ok(("oidc:ana-7", Role::Auditor))),
        ("another group", &groups, json!({"groups": ["Data", "dat"]}), Err(may_not)),
        (
            "a role is of the provider",
            &groups,
            json!({"email": "bo@example.com"}),
            Ok(("bo@example.com", Role::Developer)),
        ),
    ];
    for (why, rules, claims, want) in cases {
        let site = Site::start_with(|options| options.rules = rules.clone());
        site.invite("bo@example.com", Role::Auditor, None);
        site.invite("carla", Role::Developer, Some("carla@example.com"));
        site.invite("dora@example.com", Role::Developer, None);
        let root = actor("root").for_all_users();
        site.server.registry(|registry| {
            let disabled = UserEdit { is_disabled: Some(true), ..UserEdit::default() };
            registry.edit_user(&root, "dora@example.com", &disabled).unwrap();
            let person = portcullis_registry::SignedIn {
                issuer: "https://earlier.example".into(),
                subject: "1".into(),
                email: Some("root@example.com".into()),
            };
            let admission = portcullis_registry::Admission { person, is_welcome: true, role: None };
            registry.admit(&root, &admission).unwrap();
        });
        site.provider.set(|behavior| {
            behavior.claims = json!({"sub": "ana-7", "email_verified": true});
            merge(&mut behavior.claims, &claims);
            behavior.user_info = Some(json!({"sub": behavior.claims["sub"]}));
        });
        let mut browser = site.browser();
        let reply = browser.sign_in("/");
        match want {
            Ok((name, role)) => {
                assert_eq!(reply.status, 200, "{why}: {reply:?}");
                let own = browser.get("/v3/tokens/self").expect(200).json();
                assert_eq!(own["user"], name, "{why}: {own}");
                assert_eq!(site.server.registry(|registry| registry.role(name).unwrap()), role, "{why}");
            }
            Err(sentence) => check_failure(&reply, 403, sentence, why),
        }
    }
}

#[test]
fn a_user_belongs_to_the_first_account_that_signs_in() {
    let site = Site::start_with(|options| options.rules.domains = vec!["example.com".to_owned()]);
    site.invite("ana@example.com", Role::Developer, None);
    site.sign_in().expect(200);
    // The address now belongs to somebody else: not the user.
    site.provider.set(|it| it.claims["sub"] = json!("ana-8"));
    check_failure(&site.sign_in(), 403, "is of another account", "a recycled address");
    // The account keeps its user with another address.
    site.provider.set(|it| it.claims = json!({"sub": "ana-7", "email": "ana.b@example.com", "email_verified": true}));
    let mut browser = site.browser();
    browser.sign_in("/").expect(200);
    assert_eq!(browser.get("/v3/tokens/self").expect(200).json()["user"], "ana@example.com");
    // An administrator gives the user to another account.
    let root = actor("root").for_all_users();
    let forget =
        UserEdit { forgets_sign_in: true, email: Some(Some("ana@example.com".to_owned())), ..UserEdit::default() };
    site.server.registry(|registry| registry.edit_user(&root, "ana@example.com", &forget).unwrap());
    browser.get("/v3/tokens/self").problem(401, "unauthenticated");
    site.provider.set(|it| it.claims = json!({"sub": "ana-8", "email": "ana@example.com", "email_verified": true}));
    site.sign_in().expect(200);
}

#[test]
fn a_user_who_leaves_the_group_does_not_sign_in_again() {
    let site = Site::start_with(|options| {
        options.rules.groups = vec!["data".to_owned()];
        options.provider.as_mut().unwrap().claims = vec!["groups".to_owned()];
    });
    // The ID token has no groups: the user information has them.
    site.provider.set(|it| it.user_info = Some(json!({"sub": "ana-7", "groups": ["data"]})));
    site.sign_in().expect(200);
    site.provider.set(|it| it.user_info = Some(json!({"sub": "ana-7", "groups": []})));
    check_failure(&site.sign_in(), 403, "may not use this workspace", "out of the group");
    let root = actor("root").for_all_users();
    let invited = UserEdit { is_invited: Some(true), ..UserEdit::default() };
    site.server.registry(|registry| registry.edit_user(&root, "ana@example.com", &invited).unwrap());
    site.sign_in().expect(200);
    // The user information of somebody else.
    site.provider.set(|it| it.user_info = Some(json!({"sub": "eve", "groups": ["data"]})));
    check_failure(&site.sign_in(), 400, "user information of the OpenID provider is not valid", "another subject");
    site.provider.set(|it| it.user_info = None);
    check_failure(&site.sign_in(), 400, "user information of the OpenID provider is not valid", "no user information");
}

#[test]
fn a_disabled_or_removed_user_loses_the_session_at_once() {
    let root = actor("root").for_all_users();
    for end in ["disable", "remove"] {
        let site = Site::start();
        site.invite("ana@example.com", Role::Developer, None);
        let mut browser = site.browser();
        browser.sign_in("/").expect(200);
        browser.get("/credentials/tokens").expect(200);
        let machine = site.server.machine("ana@example.com", None);
        let access = site.server.access_of(&machine);
        site.server.get(&access, "/v3/tokens").expect(200);
        site.server.registry(|registry| {
            if end == "remove" {
                // A user with clients cannot be removed.
                assert!(registry.remove_user(&root, "ana@example.com").is_err());
                registry.delete_client(&root, ClientKind::M2m, &machine.id).unwrap();
                registry.remove_user(&root, "ana@example.com").unwrap();
            } else {
                let edit = UserEdit { is_disabled: Some(true), ..UserEdit::default() };
                registry.edit_user(&root, "ana@example.com", &edit).unwrap();
            }
        });
        browser.get("/credentials/tokens").expect(303);
        browser.get("/v3/tokens").problem(401, "unauthenticated");
        site.server.get(&access, "/v3/tokens").problem(401, "invalid_token");
        let sentence = if end == "remove" { "may not use this workspace" } else { "is disabled" };
        check_failure(&site.sign_in(), 403, sentence, end);
    }
}

#[test]
fn users_are_invited_and_removed_over_http() {
    let server = Server::start();
    let root = server.access_of(&server.machine("root", Some(&["admin", "read:tokens"])));
    let invite = |body: &str| server.post(&root, "/v3/users", body);
    let created = invite(r#"{"name": "ana", "email": "ana@example.com", "role": "auditor"}"#).expect(201);
    assert_eq!(created.json(), json!({"name": "ana", "role": "auditor", "email": "ana@example.com"}));
    assert_eq!(created.header("location"), Some("/v3/users/ana"));
    invite(r#"{"name": "ana"}"#).problem(409, "name_taken");
    invite(r#"{"name": "bo", "email": "ANA@example.com"}"#).problem(409, "email_taken");
    invite(r#"{"name": "bo", "email": "bo"}"#).problem(400, "invalid_email");
    invite(r#"{"name": "bo", "role": "boss"}"#).problem(400, "unknown_role");
    invite(r#"{"name": ""}"#).expect(400);
    let edit = |user: &str, body: &str| server.call(&root, "PATCH", &format!("/v3/users/{user}"), &[], body);
    assert_eq!(edit("ana", r#"{"disabled": true}"#).expect(200).json()["disabled"], true);
    assert_eq!(
        edit("ana", r#"{"disabled": false, "email": null}"#).expect(200).json(),
        json!({"name": "ana", "role": "auditor"})
    );
    edit("root", r#"{"disabled": true}"#).problem(409, "last_administrator");
    let delete = |user: &str| server.call(&root, "DELETE", &format!("/v3/users/{user}"), &[], "");
    delete("root").problem(409, "last_administrator");
    delete("ana").expect(204);
    delete("ana").problem(404, "not_found");
    let bo = server.access_of(&server.machine("bo", Some(&["admin"])));
    server.post(&bo, "/v3/users", r#"{"name": "eve"}"#).problem(403, "role_needed");
    server.call(&bo, "DELETE", "/v3/users/root", &[], "").problem(403, "role_needed");
}

//! Who may use which route: the whole table, as the router really answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use axum::http::{Method, Request};
use leasehold_model::id::ActionId;
use leasehold_model::plan::{Plan, PlanItem, StateFingerprint, Verb};
use leasehold_reconcile::system::Systems;
use leasehold_store::User;
use leasehold_web::{Access, Face, routes};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{Installation, company, connected, from, system};

/// Everybody that the table asks for: mail address, and the roles that they were given. What somebody manages or owns
/// follows from the company's files.
const WHO: &[(&str, &str, &[&str])] = &[
    ("nobody", "guest@example.com", &[]),
    ("self", "ada@example.com", &[]),
    ("manager", "mia@example.com", &[]),
    ("system_owner", "olga@example.com", &[]),
    ("reviewer", "reviewer@example.com", &["reviewer"]),
    ("auditor", "auditor@example.com", &["auditor"]),
    ("operator", "operator@example.com", &["operator"]),
    ("administrator", "dana@example.com", &["administrator"]),
];

/// A plan that takes `role/clerk` from an account of somebody.
pub fn plan_about(identity: &str) -> Plan {
    let item = PlanItem {
        id: ActionId::from(format!("act-{}", &identity[..2])),
        verb: Verb::Revoke,
        system: system("erp"),
        account: identity.to_owned(),
        account_key: identity.into(),
        identity: Some(identity.into()),
        entitlement: Some("role/clerk".parse().expect("an entitlement")),
        entitlement_native: None,
        credential: None,
        to: None,
        privileged: false,
        attributes: Default::default(),
        because: vec!["has left".to_owned()],
        also_loses: Vec::new(),
        must_end: Vec::new(),
        after: Vec::new(),
    };
    Plan::seal(StateFingerprint::default(), vec![item], Vec::new(), Vec::new())
}

/// The path of a route with something real for each parameter, so that authority decides and not absence.
fn real_path(path: &str, plan: &str, ada: &str) -> String {
    let path = match path {
        "/policy/revisions/{id}" => "/policy/revisions/1".to_owned(),
        "/api/v1/policy/revisions/{id}" => "/api/v1/policy/revisions/1".to_owned(),
        "/api/v1/users/{id}/sessions/{session}" => format!("/api/v1/users/{ada}/sessions/none"),
        other => other.replace("/users/{id}", &format!("/users/{ada}")),
    };
    path.replace("{key}", "ada@example.com")
        .replace("{address}", "erp:role%2Fclerk")
        .replace("{account}", "stranger")
        .replace("{hash}", plan)
        .replace("{plan}", plan)
        .replace("{name}", "erp")
        .replace("{system}", "erp")
        .replace("{kind}", "role")
        .replace("{*name}", "clerk")
        .replace("{index}", "0")
        .replace("{id}", "none")
        .replace("{delivery}", "none")
        .replace("{file}", "style.css")
        .replace("{endpoint}", "Users")
}

/// The company, and a system that an identity provider pushes into.
fn company_that_is_pushed_to(folder: &Path) -> Systems {
    let mut systems = company(folder);
    let portal = connected(folder, "portal", "scim_push", false, "");
    systems.insert(portal.name.clone(), portal);
    systems
}

async fn status(installation: &Installation, mut request: Request<Body>) -> u16 {
    // Each from another network, so that no brake on guessing is in the table.
    static NETWORK: AtomicU32 = AtomicU32::new(0);
    let number = NETWORK.fetch_add(1, Ordering::Relaxed);
    request.extensions_mut().insert(from(&format!("198.18.{}.{}", number / 250, number % 250 + 1)));
    // The body is not read: a stream of events has no end.
    installation.router.clone().oneshot(request).await.expect("answers").status().as_u16()
}

#[tokio::test]
async fn every_route_and_role_is_in_the_table() {
    let installation = Installation::with_systems(company_that_is_pushed_to).await;
    installation.store.apply_policy(BTreeMap::new(), "d", "test", installation.now()).await.expect("applies");
    let plan = plan_about("bo@example.com");
    installation.store.save_plan(&plan, installation.now()).await.expect("saves");
    let mut users: Vec<User> = Vec::new();
    for (_, mail, roles) in WHO {
        let known = installation.store.user_by_mail(mail).await.expect("reads");
        users.push(match known {
            Some(user) => user,
            None => installation.make_user(mail, roles).await,
        });
    }
    let ada = users[1].id.clone();
    let mut table = String::from("signed_out");
    for (name, ..) in WHO {
        let _ = write!(table, " {name}");
    }
    for route in routes() {
        let path = real_path(route.path, plan.hash.as_str(), &ada);
        assert!(!path.contains('{'), "{path}: say what is to stand there");
        let _ = write!(table, "\n{} {}:", route.method, route.path);
        // Nothing that changes anything is complete: whoever may do it is told what is missing.
        let is_for_programs = route.face != Face::Page;
        let body = if is_for_programs { json!({"unknown_field": 1}).to_string() } else { String::new() };
        let request = |method: &Method| {
            let kind = if is_for_programs { "application/json" } else { "application/x-www-form-urlencoded" };
            Request::builder().method(method).uri(&path).header("content-type", kind)
        };
        let signed_out =
            status(&installation, request(&route.method).body(Body::from(body.clone())).expect("a request"))
                .await;
        let _ = write!(table, " {signed_out}");
        if matches!(route.access, Access::Needs(_)) {
            let refused = if is_for_programs { 401 } else { 303 };
            assert_eq!(signed_out, refused, "{} {path} is open to everybody", route.method);
        }
        for user in &users {
            let (request, body) = if is_for_programs {
                let token = match route.face {
                    Face::Scim => installation.token_for(user, &["scim"], Some("portal"), 1).await,
                    _ => installation.program_of(user, &["admin"]).await.token,
                };
                (request(&route.method).header("authorization", format!("Bearer {token}")), body.clone())
            } else {
                let mut browser = installation.browser_of(user).await;
                let csrf = browser.csrf("/account").await;
                let pairs: Vec<String> =
                    browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
                (request(&route.method).header("cookie", pairs.join("; ")), format!("csrf={csrf}"))
            };
            let answered = status(&installation, request.body(Body::from(body)).expect("a request")).await;
            let _ = write!(table, " {answered}");
            let is_answer = answered < 500 || answered == 501;
            assert!(is_answer, "{} {path} fails for {}", route.method, user.mail);
        }
    }
    insta::assert_snapshot!("authority", table);
}

#[tokio::test]
async fn nobody_decides_on_their_own_access() {
    let installation = Installation::with_company().await;
    let about_dana = plan_about("dana@example.com");
    let about_bo = plan_about("bo@example.com");
    for plan in [&about_dana, &about_bo] {
        installation.store.save_plan(plan, installation.now()).await.expect("saves");
    }
    let operator = installation.make_user("operator@example.com", &["operator"]).await;
    let mut dana = installation.program().await;
    let mut operator = installation.program_of(&operator, &["approve"]).await;
    let path = |plan: &Plan| format!("/api/v1/plans/{}/apply", plan.hash);
    let refused = dana.call("POST", &path(&about_dana), json!({})).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert!(refused.text.contains("your own access"), "{}", refused.text);
    assert!(
        installation
            .store
            .tasks(&Default::default(), 100)
            .await
            .expect("reads")
            .iter()
            .all(|task| task.kind != "apply")
    );
    // By somebody else, or about somebody else.
    assert_eq!(operator.call("POST", &path(&about_dana), json!({})).await.status, 202);
    let accepted = dana.call("POST", &path(&about_bo), json!({})).await;
    assert_eq!(
        (accepted.status.as_u16(), accepted.location()),
        (202, format!("/api/v1/tasks/{}", accepted.json()["task"].as_str().expect("a task")).as_str())
    );
}

#[tokio::test]
async fn a_system_owner_decides_about_their_systems_only() {
    let installation = Installation::with_company().await;
    let of_erp = plan_about("bo@example.com");
    let mut elsewhere = plan_about("bo@example.com");
    elsewhere.items[0].system = system("vpn");
    let elsewhere = Plan::seal(elsewhere.state, elsewhere.items, Vec::new(), Vec::new());
    for plan in [&of_erp, &elsewhere] {
        installation.store.save_plan(plan, installation.now()).await.expect("saves");
    }
    let olga = installation.make_user("olga@example.com", &[]).await;
    let mut olga = installation.program_of(&olga, &["admin"]).await;
    assert_eq!(
        olga.call("POST", &format!("/api/v1/plans/{}/apply", of_erp.hash), json!({})).await.status,
        202
    );
    assert_eq!(
        olga.call("POST", &format!("/api/v1/plans/{}/apply", elsewhere.hash), json!({})).await.status,
        404
    );
    let plans = olga.get("/api/v1/plans").await.json();
    assert_eq!(plans["items"].as_array().expect("rows").len(), 1, "{plans}");
    let systems = olga.get("/api/v1/systems").await.json();
    let names: Vec<&str> =
        systems["items"].as_array().expect("rows").iter().filter_map(|row| row["system"].as_str()).collect();
    assert_eq!(names, ["erp"]);
    let drift = olga.get("/api/v1/drift").await.json();
    assert!(drift["items"].as_array().expect("rows").iter().all(|row| row["system"] == "erp"), "{drift}");
    assert_eq!(olga.get("/api/v1/systems/hr").await.status, 404);
    assert_eq!(olga.call("POST", "/api/v1/systems/hr/sync", json!({})).await.status, 403);
    let accepted = olga.call("POST", "/api/v1/systems/erp/sync", json!({})).await;
    assert_eq!(olga.get(accepted.location()).await.json()["requested_by"], "olga@example.com");
    let tasks = olga.get("/api/v1/tasks").await.json();
    let subjects = tasks["items"].as_array().expect("rows").iter().filter_map(|row| row["subject"].as_str());
    assert!(subjects.clone().all(|subject| subject != "hr") && subjects.count() > 1, "{tasks}");
    assert_eq!(olga.call("POST", "/api/v1/plans", json!({"systems": ["erp", "hr"]})).await.status, 403);
    assert_eq!(olga.call("POST", "/api/v1/plans", json!({})).await.status, 403);
}

#[tokio::test]
async fn a_manager_sees_those_who_report_to_them() {
    let installation = Installation::with_company().await;
    for (mail, seen) in [
        ("mia@example.com", vec!["ada@example.com", "mia@example.com"]),
        ("ada@example.com", vec!["ada@example.com"]),
        ("guest@example.com", vec![]),
    ] {
        let user = installation.make_user(mail, &[]).await;
        let mut program = installation.program_of(&user, &["read"]).await;
        for key in ["ada@example.com", "mia@example.com", "olga@example.com", "no@example.com"] {
            let expected = match (mail, seen.contains(&key)) {
                ("guest@example.com", _) => 403,
                (_, true) => 200,
                (_, false) => 404,
            };
            let path = format!("/api/v1/identities/{key}/access");
            assert_eq!(program.get(&path).await.status, expected, "{mail} looks at {key}");
        }
        if mail != "guest@example.com" {
            let list = program.get("/api/v1/identities").await.json();
            let keys: Vec<&str> = list["items"]
                .as_array()
                .expect("rows")
                .iter()
                .filter_map(|row| row["key"].as_str())
                .collect();
            assert_eq!(keys, seen, "{mail}");
        }
    }
}

#[tokio::test]
async fn an_installation_adds_policies_of_its_own() {
    let installation = Installation::with_company().await.ruled_by(
        r#"
        // The help desk sees everybody but Olga, and has erp read.
        permit (principal, action == Action::"see_identity", resource is Identity)
        when { principal.mail == "desk@example.com" };
        forbid (principal, action == Action::"see_identity", resource == Identity::"olga@example.com")
        unless { principal in Role::"administrator" };
        permit (principal, action in [Action::"see_system", Action::"run_sync"], resource == System::"erp")
        when { principal.mail == "desk@example.com" };
        forbid (principal in Role::"auditor", action in Action::"see", resource == System::"hr");
        "#,
    );
    let desk = installation.make_user("Desk@example.com", &[]).await;
    let mut desk = installation.program_of(&desk, &["admin"]).await;
    let keys = |list: &Value, field: &str| -> Vec<String> {
        let rows = list["items"].as_array().expect("rows").iter();
        rows.filter_map(|row| row[field].as_str().map(str::to_owned)).collect()
    };
    let everybody = keys(&installation.program().await.get("/api/v1/identities").await.json(), "key");
    let seen = keys(&desk.get("/api/v1/identities").await.json(), "key");
    assert!(
        everybody.contains(&"olga@example.com".to_owned()) && seen.len() == everybody.len() - 1,
        "{seen:?}"
    );
    assert_eq!(desk.get("/api/v1/identities/olga@example.com").await.status, 404);
    assert_eq!(desk.get("/api/v1/identities/bo@example.com/access").await.status, 200);
    assert_eq!(keys(&desk.get("/api/v1/systems").await.json(), "system"), ["erp"]);
    assert_eq!(desk.call("POST", "/api/v1/systems/erp/sync", json!({})).await.status, 202);
    assert_eq!(desk.call("POST", "/api/v1/systems/hr/sync", json!({})).await.status, 403);

    let auditor = installation.make_user("audit@example.com", &["auditor"]).await;
    let mut auditor = installation.program_of(&auditor, &["read"]).await;
    let systems = keys(&auditor.get("/api/v1/systems").await.json(), "system");
    assert!(systems.contains(&"erp".to_owned()) && !systems.contains(&"hr".to_owned()), "{systems:?}");
    assert_eq!(auditor.get("/api/v1/systems/hr").await.status, 404);

    let files = auditor.get("/api/v1/policy/authority").await.json();
    assert_eq!(keys(&files, "name"), ["defaults.cedar", "own.cedar"]);
    let mut browser = installation.signed_in().await;
    let page = browser.get("/policy/authority").await;
    assert!(page.text.contains("The help desk sees everybody but Olga"), "{}", page.text);
}

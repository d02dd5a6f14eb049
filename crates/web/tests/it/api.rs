//! The API: lists and pages, plans from drift to receipts, conditions, keys, and what a mistake is told.

use std::path::Path;

use axum::body::Body;
use axum::http::StatusCode;
use http_body_util::BodyExt as _;
use leasehold_reconcile::system::Systems;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{Answer, Installation, Program, connected, rule};

fn items(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()["items"].as_array().expect("rows").clone()
}

/// Every row of a list, a page of `limit` at a time.
async fn all(program: &mut Program, path: &str, limit: usize) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    let separator = if path.contains('?') { '&' } else { '?' };
    loop {
        let answer = program.get(&format!("{path}{separator}limit={limit}&cursor={cursor}")).await;
        let page = items(&answer);
        assert!(page.len() <= limit, "{path}");
        rows.extend(page);
        match answer.json()["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return rows,
        }
    }
}

fn practice_company(folder: &Path) -> Systems {
    let settings = "seed = 7\npeople = 30\nas_of = \"2026-01-05T00:00:00Z\"";
    let names = ["hr", "directory", "ledger-db", "crm", "vpn", "cloud"];
    let systems = names.into_iter().map(|name| {
        let mut system = connected(folder, name, "simulated", name == "hr", settings);
        system.correlate = vec![rule("mail = email"), rule("login = email.local")];
        (system.name.clone(), system)
    });
    systems.collect()
}

#[tokio::test]
async fn pages_of_every_list_make_up_the_list() {
    let installation = Installation::with_systems(practice_company).await;
    let mut program = installation.program().await;
    for (path, least) in [
        ("/api/v1/identities", 30),
        ("/api/v1/accounts", 50),
        ("/api/v1/accounts?system=vpn", 5),
        ("/api/v1/entitlements", 10),
        ("/api/v1/grants", 100),
        ("/api/v1/grants?system=crm", 10),
        ("/api/v1/drift", 50),
        ("/api/v1/drift?kind=orphan", 1),
        ("/api/v1/ledger/entries", 6),
        ("/api/v1/tasks", 6),
    ] {
        let whole = all(&mut program, path, 500).await;
        assert!(whole.len() >= least, "{path}: {}", whole.len());
        assert_eq!(all(&mut program, path, 7).await, whole, "{path}");
    }
    let drift = program.get("/api/v1/drift").await.json();
    let kinds = drift["summary"]["by_kind"].as_object().expect("counts");
    let sum: u64 = kinds.values().filter_map(Value::as_u64).sum();
    assert_eq!(drift["summary"]["total"].as_u64(), Some(sum));
    assert_eq!(drift["summary"]["sources"].as_array().expect("sources").len(), 6);
}

#[tokio::test]
async fn filters_and_bad_parameters() {
    let installation = Installation::with_company().await;
    let mut program = installation.program().await;
    let keys = |rows: Vec<Value>, field: &str| -> Vec<String> {
        rows.iter().filter_map(|row| row[field].as_str()).map(str::to_owned).collect()
    };
    for (path, field, expected) in [
        ("/api/v1/identities?q=SALES", "key", vec!["ada@example.com", "mia@example.com"]),
        ("/api/v1/identities?state=left", "key", vec!["bo@example.com"]),
        ("/api/v1/accounts?identity=ADA@example.com", "account", vec!["ada@example.com"]),
        ("/api/v1/accounts?orphans=true", "account", vec!["stranger"]),
        ("/api/v1/entitlements?q=adm", "address", vec!["erp:role/admin"]),
        ("/api/v1/grants?account=bo@example.com", "entitlement", vec!["role/clerk"]),
        ("/api/v1/drift?identity=bo@example.com&kind=leaver", "entitlement", vec!["role/clerk"]),
    ] {
        assert_eq!(keys(items(&program.get(path).await), field), expected, "{path}");
    }
    for (path, field) in [
        ("/api/v1/identities?limit=0", "limit"),
        ("/api/v1/identities?limit=501", "limit"),
        ("/api/v1/identities?cursor=nonsense", "cursor"),
        ("/api/v1/drift?cursor=MQ", "cursor"),
        ("/api/v1/drift?kind=nothing", "kind"),
        ("/api/v1/actions?state=nothing", "state"),
        ("/api/v1/entitlements/nothing/holders", "address"),
        ("/api/v1/identities/ada@example.com/access/nothing", "address"),
        ("/api/v1/plans/zz", "hash"),
        ("/api/v1/drift?at=2030-01-01T00:00:00Z", "at"),
        ("/api/v1/ledger/proof", "index"),
        ("/api/v1/ledger/proof?index=0,one", "index"),
        ("/api/v1/identities/ada@example.com/access?at=2030-01-01T00:00:00Z", "at"),
    ] {
        let answer = program.get(path).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {}", answer.text);
        let problem = answer.json();
        assert_eq!(problem["errors"][0]["field"], field, "{path}: {problem}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    for (path, status) in [
        ("/api/v1/identities?limit=many", 400),
        ("/api/v1/drift?knid=leaver", 400),
        ("/api/v1/identities/ada@example.com/access?at=yesterday", 400),
        ("/api/v1/identities/no@example.com", 404),
        ("/api/v1/accounts/erp/nobody/access", 404),
        ("/api/v1/accounts/none/ada@example.com/access", 404),
        ("/api/v1/ledger/proof?action=act-none", 404),
        ("/api/v1/ledger/proof?index=18446744073709551615", 404),
        ("/api/v1/identities/no@example.com/access/erp:role%2Fclerk", 404),
        ("/api/v1/identities/ada@example.com/access/erp:role%2Fnone", 404),
        ("/api/v1/entitlements/erp:role%2Fnone/holders", 404),
        ("/api/v1/tasks/none", 404),
        ("/api/v1/tasks/a%00b", 400),
    ] {
        let answer = program.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
    }
}

#[tokio::test]
async fn explain_and_who_say_what_was_read() {
    let installation = Installation::with_company().await;
    let mut program = installation.program().await;
    let access = items(&program.get("/api/v1/identities/BO@example.com/access").await);
    assert_eq!(access.len(), 1);
    assert_eq!(access[0]["entitlement"], "role/clerk");
    assert_eq!(access[0]["decision"], "unjustified");
    assert_eq!(access[0]["paths"], json!([["bo@example.com", "role/clerk"]]));
    assert_eq!(
        items(&program.get("/api/v1/accounts/erp/bo@example.com/access").await),
        access,
        "the same by its account"
    );
    let of_nobody = items(&program.get("/api/v1/accounts/erp/stranger/access").await);
    assert_eq!((of_nobody.len(), &of_nobody[0]["decision"]), (1, &json!("undecided")));
    let holders = program.get("/api/v1/entitlements/erp:role%2Fclerk/holders?limit=1").await.json();
    assert_eq!(
        (holders["items"].as_array().map(Vec::len), &holders["total"]),
        (Some(1), &json!(3)),
        "{holders}"
    );
    let holders = items(&program.get("/api/v1/entitlements/erp:role%2Fclerk/holders").await);
    let accounts: Vec<&str> = holders.iter().filter_map(|row| row["account"].as_str()).collect();
    assert_eq!(accounts, ["ada@example.com", "bo@example.com", "stranger"]);
    let check = program.get("/api/v1/identities/BO@example.com/access/erp:role%2Fclerk").await.json();
    assert_eq!((&check["identity"], &check["held"]), (&json!("bo@example.com"), &json!(true)), "{check}");
    assert_eq!(check["accounts"][0]["account"], "bo@example.com", "{check}");
    assert_eq!(check["accounts"][0]["because"], access[0]["because"], "{check}");
    let check = program.get("/api/v1/identities/mia@example.com/access/erp:role%2Fclerk").await.json();
    assert_eq!((&check["held"], &check["accounts"]), (&json!(false), &json!([])), "{check}");
    // Before anything was read, nobody was there.
    let then = program.get("/api/v1/identities/ada@example.com/access?at=2026-01-05T08:00:00Z").await;
    assert_eq!(then.status, StatusCode::NOT_FOUND, "{}", then.text);
    let then = program.get("/api/v1/drift?at=2026-01-05T08:00:00Z").await.json();
    assert_eq!((&then["items"], &then["summary"]["total"]), (&json!([]), &json!(0)), "{then}");
    let sources = then["summary"]["sources"].as_array().expect("sources");
    let names: Vec<_> = sources.iter().map(|source| (&source["system"], &source["epoch"])).collect();
    assert_eq!(
        names,
        [(&json!("erp"), &json!(null)), (&json!("hr"), &json!(null))],
        "unread systems are named"
    );
    for (body, field) in
        [(json!({"systems": ["none"]}), "systems"), (json!({"identities": ["no@example.com"]}), "identities")]
    {
        let answer = program.call("POST", "/api/v1/plans", body).await;
        assert_eq!(answer.json()["errors"][0]["field"], field, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_plan_is_made_approved_and_carried_out() {
    let installation = Installation::with_systems(practice_company).await;
    let mut program = installation.program().await;
    let made = program.call("POST", "/api/v1/plans", json!({"systems": ["vpn"]})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let plan = made.json();
    let hash = plan["hash"].as_str().expect("a hash");
    assert_eq!(made.location(), format!("/api/v1/plans/{hash}"));
    let planned = plan["items"].as_array().expect("items").len();
    assert!(planned > 0, "{plan}");
    assert_eq!(program.get(&format!("/api/v1/plans/{}", &hash[..8])).await.json()["hash"], hash);
    let guards: Vec<&str> = plan["guards"]
        .as_array()
        .expect("guards")
        .iter()
        .filter_map(|guard| guard["name"].as_str())
        .collect();
    let wrong =
        program.call("POST", &format!("/api/v1/plans/{hash}/apply"), json!({"overrides": ["none"]})).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{}", wrong.text);
    let accepted =
        program.call("POST", &format!("/api/v1/plans/{hash}/apply"), json!({"overrides": guards})).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text);
    installation.driver.turn().await.expect("carries out");
    let task = program.get(accepted.location()).await.json();
    assert_eq!(
        (task["state"].as_str(), task["requested_by"].as_str()),
        (Some("done"), Some("dana@example.com")),
        "{task}"
    );
    let actions = all(&mut program, "/api/v1/actions?system=vpn", 5).await;
    assert_eq!(actions.len(), planned);
    for action in &actions {
        assert!(["verified", "void"].contains(&action["state"].as_str().expect("a state")), "{action}");
        assert!(action["ledger_index"].is_u64(), "{action}");
    }
    let path = format!("/api/v1/actions/{hash}/{}", actions[0]["id"].as_str().expect("a name"));
    let action = program.get(&path).await.json();
    assert_eq!(action["id"], actions[0]["id"]);
    let steps = action["transitions"].as_array().expect("its steps");
    let last = steps.last().expect("a step");
    assert_eq!((&last["to"], &last["ledger_index"]), (&action["state"], &action["ledger_index"]), "{action}");
    let none = program.get(&format!("/api/v1/actions/{hash}/none")).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND, "{}", none.text);
}

#[tokio::test]
async fn reading_a_system_is_a_task() {
    let installation = Installation::with_company().await;
    let mut program = installation.program().await;
    let first = program.call("POST", "/api/v1/systems/erp/sync", json!({})).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.text);
    let again = program.call("POST", "/api/v1/systems/erp/sync", json!({})).await.json();
    assert_eq!((again["coalesced"].as_bool(), &again["task"]), (Some(true), &first.json()["task"]));
    installation.driver.turn().await.expect("reads");
    let task = program.get(first.location()).await.json();
    assert_eq!(
        (task["state"].as_str(), task["result"]["completeness"].is_string()),
        (Some("done"), true),
        "{task}"
    );
    let ended = program.call("DELETE", first.location(), json!({})).await;
    assert_eq!(ended.status, StatusCode::CONFLICT);
    assert_eq!(
        program.call("POST", "/api/v1/systems/none/sync", json!({})).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn policy_is_checked_compared_and_applied() {
    let installation = Installation::with_company().await;
    let mut program = installation.program().await;
    let files = |members: &str| {
        let text = format!(
            "[role.clerk]\ntitle = \"Clerk\"\nowner = \"mia@example.com\"\nmembers = '{members}'\ngrants = [\"erp:role/clerk\"]\n"
        );
        json!({"files": {"roles/clerk.toml": text}})
    };
    let bad =
        program.call("POST", "/api/v1/policy/check", files("principal.department = \"Sales\"")).await.json();
    assert_eq!(
        (bad["summary"]["errors"].as_u64(), bad["items"][0]["line"].as_u64()),
        (Some(1), Some(4)),
        "{bad}"
    );
    let refused =
        program.call("POST", "/api/v1/policy/revisions", files("principal.department = \"Sales\"")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.json()["errors"][0]["field"], "roles/clerk.toml:4");
    let good = files("principal.department == \"Sales\"");
    let diff = program.call("POST", "/api/v1/policy/diff", good.clone()).await.json();
    assert_eq!(diff["summary"], json!({"gains": 2, "losses": 0}), "{diff}");
    let applied = program.call("POST", "/api/v1/policy/revisions", good.clone()).await;
    assert_eq!((applied.status, applied.json()["changed"].as_bool()), (StatusCode::CREATED, Some(true)));
    let again = program.call("POST", "/api/v1/policy/revisions", good).await;
    assert_eq!((again.status, again.json()["changed"].as_bool()), (StatusCode::OK, Some(false)));
    assert_eq!(items(&program.get("/api/v1/policy/revisions").await)[0]["applied_by"], "dana@example.com");
    let access = items(&program.get("/api/v1/identities/ada@example.com/access").await);
    assert_eq!(access[0]["decision"], "justified", "the present state has moved with it");
}

#[tokio::test]
async fn baselines_are_adopted_and_ended() {
    let installation = Installation::with_company().await;
    let mut program = installation.program().await;
    let past = json!({"system": "erp", "until": "2020-01-01T00:00:00Z"});
    assert_eq!(program.call("POST", "/api/v1/baselines", past).await.json()["errors"][0]["field"], "until");
    let gone = json!({"system": "erp", "until": "2026-06-01T00:00:00Z", "owner": "bo@example.com"});
    assert_eq!(program.call("POST", "/api/v1/baselines", gone).await.json()["errors"][0]["field"], "owner");
    let new = json!({"system": "erp", "until": "2026-06-01T00:00:00Z"});
    let adopted = program.call("POST", "/api/v1/baselines", new).await;
    assert_eq!(adopted.json()["owner"], "dana@example.com", "{}", adopted.text);
    assert_eq!((&adopted.json()["grants"], &adopted.json()["owner_is_unknown"]), (&json!(4), &json!(false)));
    assert_eq!(items(&program.get("/api/v1/baselines").await)[0]["state"], "in force");
    assert_eq!(
        items(&program.get("/api/v1/identities/ada@example.com/access").await)[0]["decision"],
        "justified"
    );
    assert_eq!(program.call("DELETE", "/api/v1/baselines/erp", json!({})).await.status, StatusCode::OK);
    assert_eq!(
        program.call("DELETE", "/api/v1/baselines/erp", json!({})).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        items(&program.get("/api/v1/identities/ada@example.com/access").await)[0]["decision"],
        "unjustified"
    );
}

#[tokio::test]
async fn a_call_with_a_key_is_done_once_and_its_answer_given_again() {
    let installation = Installation::with_company().await;
    let mut program = installation.program().await;
    let body = json!({"name": "scripts", "scopes": ["read"]});
    let key = [("idempotency-key", "one")];
    let first = program.call_with("POST", "/api/v1/tokens", &key, body.clone()).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let again = program.call_with("POST", "/api/v1/tokens", &key, body.clone()).await;
    assert_eq!((again.status, again.text.as_str()), (StatusCode::CREATED, first.text.as_str()));
    assert_eq!(again.header("idempotency-replayed"), "true");
    let other =
        program.call_with("POST", "/api/v1/tokens", &key, json!({"name": "x", "scopes": ["read"]})).await;
    assert_eq!(other.json()["errors"][0]["field"], "Idempotency-Key", "{}", other.text);
    assert_eq!(items(&program.get("/api/v1/tokens").await).len(), 2, "the program's own and one more");
    // What was refused may be mended and sent again.
    let refused = program
        .call_with("POST", "/api/v1/tokens", &[("idempotency-key", "two")], json!({"name": "", "scopes": []}))
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let mended = program.call_with("POST", "/api/v1/tokens", &[("idempotency-key", "two")], body).await;
    assert_eq!(mended.status, StatusCode::CREATED, "{}", mended.text);
}

#[tokio::test]
async fn answers_are_named_and_changes_can_be_conditional() {
    let installation = Installation::with_company().await;
    let mut program = installation.program().await;
    let read = program.get("/api/v1/identities").await;
    let tag = read.header("etag").to_owned();
    let request = program.request("GET", "/api/v1/identities").header("if-none-match", &tag);
    let same = program.send(request.body(Body::empty()).expect("a request")).await;
    assert_eq!((same.status, same.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    let new = json!({"mail": "lee@example.com", "name": "Lee", "roles": ["auditor"]});
    let made = program.call("POST", "/api/v1/users", new).await;
    assert!(made.json()["link"].as_str().is_some_and(|link| link.contains("/link?token=")), "{}", made.text);
    let path = made.location().to_owned();
    let tag = program.get(&path).await.header("etag").to_owned();
    let change = json!({"roles": ["operator"]});
    let changed = program.call_with("PATCH", &path, &[("if-match", &tag)], change.clone()).await;
    assert_eq!(changed.json()["roles"], json!(["operator"]), "{}", changed.text);
    let moved = program.call_with("PATCH", &path, &[("if-match", &tag)], json!({"state": "suspended"})).await;
    assert_eq!(moved.status, StatusCode::PRECONDITION_FAILED, "{}", moved.text);
    let twice =
        program.call("POST", "/api/v1/users", json!({"mail": "LEE@example.com", "name": "Lee"})).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    let bad =
        program.call("POST", "/api/v1/users", json!({"mail": "lee", "name": "", "roles": ["king"]})).await;
    let fields: Vec<String> = bad.json()["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| error["field"].to_string())
        .collect();
    assert_eq!(fields, ["\"name\"", "\"mail\"", "\"roles\""]);
    let me = program.get("/api/v1/me").await.json();
    let own = format!("/api/v1/users/{}", me["user"].as_str().expect("an id"));
    let last = program.call("PATCH", &own, json!({"roles": []})).await;
    assert_eq!(last.status, StatusCode::CONFLICT, "{}", last.text);
    assert!(last.text.contains("nobody to administer"), "{}", last.text);
}

#[tokio::test]
async fn bodies_that_are_not_understood_are_told_so() {
    let installation = Installation::with_company().await;
    let mut program = installation.program().await;
    for (kind, body, status) in [
        ("text/plain", "{}", 415),
        ("application/json", "{", 400),
        ("application/json", "{\"mail\": 1}", 422),
        ("application/json", "{\"mail\": \"a@example.com\", \"name\": \"A\", \"rolls\": []}", 422),
    ] {
        let request = program.request("POST", "/api/v1/users").header("content-type", kind);
        let answer = program.send(request.body(Body::from(body)).expect("a request")).await;
        assert_eq!(answer.status.as_u16(), status, "{kind} {body}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{kind} {body}");
    }
    let request = program.request("POST", "/api/v1/users").header("content-type", "application/json");
    let large = program.send(request.body(Body::from(vec![b' '; 9 << 20])).expect("a request")).await;
    assert_eq!((large.status.as_u16(), large.header("content-type")), (413, "application/problem+json"));
}

#[tokio::test]
async fn a_token_that_reads_changes_nothing() {
    let installation = Installation::with_company().await;
    let user = installation.store.user_by_mail("dana@example.com").await.expect("reads").expect("is there");
    let mut program = installation.program_of(&user, &["read"]).await;
    assert_eq!(program.get("/api/v1/drift").await.status, StatusCode::OK);
    for (method, path) in [
        ("POST", "/api/v1/plans"),
        ("POST", "/api/v1/systems/erp/sync"),
        ("POST", "/api/v1/users"),
        ("POST", "/api/v1/tokens"),
    ] {
        let answer = program.call(method, path, json!({})).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: {}", answer.text);
        assert_eq!(answer.json()["type"], "/api/v1/problems#scope", "{path}");
    }
}

#[tokio::test]
async fn what_happens_is_told_as_it_happens() {
    let installation = Installation::with_company().await;
    let program = installation.program().await;
    let request = program.request("GET", "/api/v1/events").body(Body::empty()).expect("a request");
    let response = installation.router.clone().oneshot(request).await.expect("answers");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let mut told = String::new();
    let mut asked = false;
    while !told.contains("event: sync_finished") {
        let frame = body.frame().await.expect("goes on").expect("a frame");
        told += &String::from_utf8_lossy(&frame.into_data().expect("data"));
        if !asked {
            assert!(told.starts_with("event: listening"), "{told}");
            let mut other = installation.program().await;
            other.call("POST", "/api/v1/systems/erp/sync", json!({})).await;
            installation.driver.turn().await.expect("reads");
            asked = true;
        }
    }
    let notice = told
        .lines()
        .find(|line| line.starts_with("data:") && line.contains("sync_started"))
        .expect("a notice");
    let notice: Value = serde_json::from_str(notice.trim_start_matches("data:").trim()).expect("JSON");
    assert_eq!(notice["subject"], "erp");
}

#[tokio::test]
async fn the_document_is_complete_and_as_it_was() {
    let installation = Installation::new().await;
    let document = installation.browser().get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    for route in leasehold_web::routes() {
        if route.path.starts_with("/api/v1/") && route.path != "/api/v1/openapi.json" {
            let method = route.method.as_str().to_lowercase();
            assert!(
                document["paths"][route.path][&method].is_object(),
                "{method} {} is not in it",
                route.path
            );
        }
    }
    insta::assert_snapshot!("openapi", serde_json::to_string_pretty(&document).expect("JSON"));
}

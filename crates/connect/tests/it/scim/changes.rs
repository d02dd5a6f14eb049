//! Changes, each looked at with a client that is neither the connector nor the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leasehold_model::id::ActionId;
use leasehold_model::plan::Verb;
use leasehold_model::request::{AccountTarget, ActionRequest, Outcome};
use leasehold_testing::ScimServer;
use serde_json::{Value, json};

use super::{Company, ENTERPRISE, answer};
use crate::harness::{
    acknowledged, entitlement, enumerate, enumerate_all, execute, read_account, read_grant, refused,
};
use leasehold_testing::Between;

const ENG: usize = 0;
const ALL: usize = 1;
const OPS: usize = 2;

#[tokio::test]
async fn a_membership_ends_and_everybody_else_stays() {
    for company in Company::both() {
        let (connector, bob) = (company.connector(), company.bob());
        acknowledged(&*connector, Verb::Grant, &company.ada(), Some(&company.group(OPS))).await;
        acknowledged(&*connector, Verb::Revoke, &bob, Some(&company.group(OPS))).await;
        assert!(!company.is_member(&bob, OPS) && company.is_member(&bob, ALL));
        assert!(company.is_member(&company.ada(), OPS) && company.is_member(&company.ada(), ENG));
        assert!(
            company.server.is_member(&company.groups[ALL], &company.groups[ENG]),
            "the inner group stays"
        );
        assert_eq!(
            execute(&*connector, Verb::Revoke, &bob, Some(&company.group(OPS))).await,
            Outcome::AlreadySo
        );
    }
}

#[tokio::test]
async fn a_membership_is_read_with_every_group_that_carries_it() {
    for company in Company::both() {
        let (connector, ada) = (company.connector(), company.ada());
        assert_eq!(read_grant(&*connector, &ada, &company.group(ALL)).await, (false, true));
        assert_eq!(read_grant(&*connector, &company.bob(), &company.group(ALL)).await, (true, true));
        // A ring: it must end, and it carries nobody in who is in none of them.
        let ring = json!([{"value": company.groups[ALL], "type": "Group"}]);
        let made = company.server.make("Groups", [json!({"displayName": "ring", "members": ring})]).remove(0);
        let operation = json!({"op": "add", "path": "members", "value": [{"value": made, "type": "Group"}]});
        let patch = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation],
        });
        company.server.scim2(&["modify", "group", &company.groups[ENG]], Some(&patch));
        assert_eq!(read_grant(&*connector, &ada, &entitlement("group/ring")).await, (false, true));
        acknowledged(&*connector, Verb::Revoke, &ada, Some(&company.group(ENG))).await;
        assert_eq!(read_grant(&*connector, &ada, &company.group(ALL)).await, (false, false));
        assert_eq!(read_grant(&*connector, &ada, &entitlement("group/ring")).await, (false, false));
        assert_eq!(read_grant(&*connector, &ada, &entitlement("group/nothing")).await, (false, false));
    }
}

#[tokio::test]
async fn roles_and_entitlements_of_a_user_come_and_go() {
    for company in Company::both() {
        let (connector, ada) = (company.connector(), company.ada());
        let values = |attribute: &str| -> Vec<String> {
            let user = company.server.find("user", ada.key.as_str()).expect("ada");
            let found = user[attribute].as_array().cloned().unwrap_or_default();
            found.iter().filter_map(|found| found["value"].as_str().map(str::to_owned)).collect()
        };
        acknowledged(&*connector, Verb::Grant, &ada, Some(&entitlement("role/it's \"root\""))).await;
        assert_eq!(values("roles"), ["auditor", "it's \"root\""]);
        acknowledged(&*connector, Verb::Revoke, &ada, Some(&entitlement("role/it's \"root\""))).await;
        acknowledged(&*connector, Verb::Revoke, &ada, Some(&entitlement("entitlement/export"))).await;
        assert_eq!((values("roles"), values("entitlements")), (vec!["auditor".to_owned()], Vec::new()));
        let again = execute(&*connector, Verb::Revoke, &ada, Some(&entitlement("entitlement/export"))).await;
        assert_eq!(again, Outcome::AlreadySo);
        let why = refused(&*connector, Verb::Grant, &ada, Some(&entitlement("flag/x"))).await;
        assert!(why.contains("known are group, role, entitlement"), "{why}");
    }
}

#[tokio::test]
async fn an_account_is_made_with_its_attributes_and_without_a_password() {
    for company in Company::both() {
        let connector = company.connector_at(company.server.url(), "[new_account]\nlocale = 'de'");
        let dora = AccountTarget { key: String::new().into(), login: "dora".to_owned() };
        let attributes =
            [("email", "dora@example.com"), ("family_name", "D"), ("department", "Ops"), ("shoe", "38")];
        let request = ActionRequest {
            id: ActionId::from("test"),
            verb: Verb::CreateAccount,
            account: dora.clone(),
            entitlement: None,
            credential: None,
            to: None,
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        match connector.execute(&request).await.expect("create") {
            Outcome::Acknowledged { detail } => assert_eq!(detail, "created; SCIM has no place for shoe"),
            other => panic!("{other:?}"),
        }
        assert_eq!(connector.execute(&request).await.expect("create"), Outcome::AlreadySo);
        assert_eq!(read_account(&*connector, &dora).await, (true, true));
        let list = company.server.scim2(&["query", "user", "--filter", "userName eq \"dora\""], None);
        let made = &list["Resources"][0];
        assert_eq!(made["emails"][0]["value"], "dora@example.com", "{made}");
        assert_eq!((&made["name"]["familyName"], &made["locale"]), (&json!("D"), &json!("de")), "{made}");
        assert_eq!(made[ENTERPRISE]["department"], "Ops", "{made}");
        // Who has no key yet is found by the login, for what the same plan grants.
        acknowledged(&*connector, Verb::Grant, &dora, Some(&company.group(OPS))).await;
        assert!(company.server.is_member(&company.groups[OPS], made["id"].as_str().expect("an id")));
    }
}

#[tokio::test]
async fn a_disabled_account_stays_and_a_deleted_one_goes() {
    for company in Company::both() {
        let (connector, bob) = (company.connector(), company.bob());
        acknowledged(&*connector, Verb::DisableAccount, &bob, None).await;
        assert_eq!(company.server.find("user", bob.key.as_str()).expect("bob")["active"], false);
        acknowledged(&*connector, Verb::EnableAccount, &bob, None).await;
        assert_eq!(company.server.find("user", bob.key.as_str()).expect("bob")["active"], true);
        acknowledged(&*connector, Verb::DeleteAccount, &bob, None).await;
        assert!(company.server.find("user", bob.key.as_str()).is_none());
        assert!(company.server.find("user", company.ada().key.as_str()).is_some());
        assert_eq!(execute(&*connector, Verb::DeleteAccount, &bob, None).await, Outcome::AlreadySo);
        assert_eq!(execute(&*connector, Verb::DisableAccount, &bob, None).await, Outcome::AlreadySo);
    }
}

/// A company whose server takes no PATCH: `status` is its answer. Counts what was sent.
fn without_patch(company: &Company, status: &'static str) -> (Between, Arc<AtomicUsize>) {
    let patches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&patches);
    let between = Between::start(company.server.url(), move |request, forward| {
        if !request.starts_with("PATCH ") {
            return forward();
        }
        counted.fetch_add(1, Ordering::SeqCst);
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": &status[..3], "detail": "not today",
        });
        answer(status, "", &body)
    });
    (between, patches)
}

#[tokio::test]
async fn what_takes_no_patch_is_written_as_a_whole() {
    for (status, companies) in [
        ("501 Not Implemented", Company::both().into()),
        ("400 Bad Request", vec![Company::start(ScimServer::start_scim2_server())]),
        ("405 Method Not Allowed", vec![Company::start(ScimServer::start_scimmy())]),
    ] {
        for company in companies {
            let (between, patches) = without_patch(&company, status);
            let connector = company.connector_at(&company.url_at(&between.url()), "");
            let (ada, bob) = (company.ada(), company.bob());
            acknowledged(&*connector, Verb::Grant, &ada, Some(&company.group(ALL))).await;
            acknowledged(&*connector, Verb::Revoke, &bob, Some(&company.group(ALL))).await;
            assert!(company.is_member(&ada, ALL) && !company.is_member(&bob, ALL));
            assert!(
                company.server.is_member(&company.groups[ALL], &company.groups[ENG]),
                "the inner group stays"
            );
            acknowledged(&*connector, Verb::DisableAccount, &ada, None).await;
            acknowledged(&*connector, Verb::Revoke, &ada, Some(&entitlement("role/auditor"))).await;
            let user = company.server.find("user", ada.key.as_str()).expect("ada");
            assert_eq!((&user["active"], &user["userName"]), (&json!(false), &json!("ada")), "{user}");
            assert_eq!(user[ENTERPRISE]["employeeNumber"], "E1", "nothing else is lost: {user}");
            assert!(user["roles"].as_array().is_none_or(Vec::is_empty), "{user}");
            assert!(patches.load(Ordering::SeqCst) >= 4, "PATCH is tried first");
        }
    }
}

#[tokio::test]
async fn members_are_taken_out_in_the_form_that_the_settings_name() {
    let company = Company::start(ScimServer::start_scim2_server());
    let sent = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&sent);
    let between = Between::start(company.server.url(), move |request, forward| {
        if request.starts_with("PATCH ") || request.starts_with("PUT ") {
            let body = request.split_once("\r\n\r\n").expect("a body").1;
            let body: Value = serde_json::from_str(body).expect("a body in JSON");
            seen.lock().expect("what was sent").push(body["Operations"][0].clone());
        }
        forward()
    });
    let bob = company.bob();
    let id = bob.key.as_str();
    for (word, expected) in [
        ("filter", vec![json!({"op": "remove", "path": format!("members[value eq \"{id}\"]")})]),
        // This server refuses that form, and gets the whole group.
        ("value", vec![json!({"op": "remove", "path": "members", "value": [{"value": id}]}), Value::Null]),
        ("replace", vec![Value::Null]),
    ] {
        let more = format!("member_removal = '{word}'");
        let connector = company.connector_at(&company.url_at(&between.url()), &more);
        let outcome = execute(&*connector, Verb::Revoke, &bob, Some(&company.group(OPS))).await;
        assert!(matches!(outcome, Outcome::Acknowledged { .. }), "{word}: {outcome:?}");
        assert!(!company.is_member(&bob, OPS), "{word}");
        assert_eq!(std::mem::take(&mut *sent.lock().expect("what was sent")), expected);
        acknowledged(&*company.connector(), Verb::Grant, &bob, Some(&company.group(OPS))).await;
    }
}

/// A company whose server shows memberships with users and not with groups, and takes PATCH or not.
fn told_by_users(company: &Arc<Company>, patch: bool) -> Between {
    let server = Arc::clone(company);
    Between::start(company.server.url(), move |request, forward| {
        if request.starts_with("PATCH ") && !patch {
            let body =
                json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "detail": "not today"});
            return answer("501 Not Implemented", "", &body);
        }
        let given = forward();
        let is_read = ["GET /v2/Users", "GET /v2/Groups"].iter().any(|begin| request.starts_with(begin));
        if !is_read || given.get(9..12).is_none_or(|status| status != b"200") {
            return given;
        }
        let end = given.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let mut body: Value = serde_json::from_slice(&given[end..]).expect("a body in JSON");
        let groups = server.server.ask("GET", "Groups", "");
        let groups_of = |user: &Value| -> Vec<Value> {
            let groups = groups["Resources"].as_array().expect("groups").iter();
            let is_in = |group: &&Value| {
                group["members"].as_array().into_iter().flatten().any(|member| member["value"] == *user)
            };
            groups.filter(is_in).map(|group| json!({"value": group["id"], "type": "direct"})).collect()
        };
        let shown = match body.get_mut("Resources").and_then(Value::as_array_mut) {
            Some(resources) => resources.iter_mut().collect(),
            None => vec![&mut body],
        };
        for resource in shown {
            if resource["userName"].is_null() {
                resource["members"] = Value::Null;
            } else {
                resource["groups"] = groups_of(&resource["id"]).into();
            }
        }
        answer("200 OK", "", &body)
    })
}

#[tokio::test]
async fn memberships_that_only_users_show_are_told_and_changed() {
    let company = Arc::new(Company::start(ScimServer::start_scim2_server()));
    let (ada, bob, between) = (company.ada(), company.bob(), told_by_users(&company, true));
    let connector = company.connector_at(&company.url_at(&between.url()), "membership = 'user'");
    let facts = enumerate_all(&*connector).await;
    assert_eq!(facts.held_by("bob"), ["group/all", "group/ops"]);
    acknowledged(&*connector, Verb::Revoke, &bob, Some(&company.group(OPS))).await;
    acknowledged(&*connector, Verb::Grant, &ada, Some(&company.group(OPS))).await;
    assert!(!company.is_member(&bob, OPS) && company.is_member(&ada, OPS));
    assert_eq!(read_grant(&*connector, &bob, &company.group(OPS)).await, (false, false));
    assert_eq!(read_grant(&*connector, &ada, &company.group(OPS)).await, (true, true));
    let again = execute(&*connector, Verb::Revoke, &bob, Some(&company.group(OPS))).await;
    assert_eq!(again, Outcome::AlreadySo);
    // Asked in the usual way, nothing of this is seen, which must not look like all.
    let (_, completeness) = enumerate(&*company.connector_at(&company.url_at(&between.url()), "")).await;
    assert!(completeness.detail().contains("set `membership = \"user\"`"), "{completeness:?}");
}

#[tokio::test]
async fn a_group_that_hides_its_members_is_never_written_as_a_whole() {
    let company = Arc::new(Company::start(ScimServer::start_scim2_server()));
    let between = told_by_users(&company, false);
    let connector = company.connector_at(&company.url_at(&between.url()), "membership = 'user'");
    for (verb, account) in [(Verb::Grant, company.ada()), (Verb::Revoke, company.bob())] {
        let why = refused(&*connector, verb, &account, Some(&company.group(OPS))).await;
        assert!(why.contains("would lose them") && why.contains("501"), "{why}");
    }
    assert!(company.is_member(&company.bob(), OPS) && !company.is_member(&company.ada(), OPS));
}

#[tokio::test]
async fn a_change_of_somebody_else_in_between_is_not_lost() {
    let company = Arc::new(Company::start(ScimServer::start_scim2_server()));
    let (others, patched) = (Arc::clone(&company), AtomicUsize::new(0));
    let between = Between::start(company.server.url(), move |request, forward| {
        if request.starts_with("PUT ") && patched.fetch_add(1, Ordering::SeqCst) == 0 {
            assert!(request.to_lowercase().contains("if-match: w/"), "{request}");
            let operation = json!({"op": "add", "path": "members", "value": [{"value": others.users[2], "type": "User"}]});
            let patch = json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation],
            });
            others.server.scim2(&["modify", "group", &others.groups[OPS]], Some(&patch));
        }
        forward()
    });
    let connector = company.connector_at(&company.url_at(&between.url()), "member_removal = 'replace'");
    acknowledged(&*connector, Verb::Revoke, &company.bob(), Some(&company.group(OPS))).await;
    assert!(!company.is_member(&company.bob(), OPS));
    assert!(
        company.server.is_member(&company.groups[OPS], &company.users[2]),
        "carl came in between and stays"
    );
}

#[tokio::test]
async fn the_account_that_the_connector_logs_in_as_is_left_alone() {
    let company = Company::start(ScimServer::start_scim2_server());
    let me = company.users[0].clone();
    let between = Between::start(company.server.url(), move |request, forward| {
        if request.starts_with("GET /v2/Me ") {
            return answer("200 OK", "", &json!({"id": me, "userName": "ada"}));
        }
        forward()
    });
    let connector = company.connector_at(&company.url_at(&between.url()), "");
    for verb in [Verb::DisableAccount, Verb::DeleteAccount] {
        let why = refused(&*connector, verb, &company.ada(), None).await;
        assert!(why.contains("the connector itself logs in as"), "{why}");
    }
    let why = refused(&*connector, Verb::Revoke, &company.ada(), Some(&company.group(ENG))).await;
    assert!(
        why.contains("the connector itself logs in as") && company.is_member(&company.ada(), ENG),
        "{why}"
    );
    acknowledged(&*connector, Verb::DisableAccount, &company.bob(), None).await;
}

//! What is told of a server.

use leasehold_testing::ScimServer;
use serde_json::json;

use super::Company;
use crate::harness::{enumerate, enumerate_all};

#[tokio::test]
async fn users_their_roles_and_nested_groups_are_told() {
    for company in Company::both() {
        let facts = enumerate_all(&*company.connector()).await;
        let ada = &facts.accounts["ada"];
        assert_eq!(ada.key.as_str(), company.users[0]);
        for (name, value) in [
            ("mail", "ada@example.com"),
            ("externalId", "hr-1"),
            ("displayName", "Ada L."),
            ("familyName", "Lovelace"),
            ("employeeNumber", "E1"),
            ("department", "Engines"),
        ] {
            assert_eq!(ada.attributes.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(ada.attributes["lastModified"].starts_with("20"), "{ada:?}");
        assert!(ada.enabled && facts.accounts["bob"].enabled && !facts.accounts["carl"].enabled);
        assert_eq!(facts.held_by("ada"), ["entitlement/export", "group/eng", "role/auditor"]);
        assert_eq!(facts.held_by("bob"), ["group/all", "group/ops"]);
        assert!(facts.contains("group/eng", "group/all") && facts.containments.len() == 1);
        assert_eq!(facts.entitlements["group/eng"].native.as_ref(), Some(&company.groups[0]));
        assert!(facts.problems.is_empty(), "{:?}", facts.problems);
    }
}

#[tokio::test]
async fn every_way_of_asking_for_members_tells_the_same() {
    for company in Company::both() {
        let listed = enumerate_all(&*company.connector()).await;
        let one_by_one = company.connector_at(company.server.url(), "membership = 'group'");
        let one_by_one = enumerate_all(&*one_by_one).await;
        for login in ["ada", "bob", "carl"] {
            assert_eq!(listed.held_by(login), one_by_one.held_by(login));
        }
        assert_eq!(listed.containments, one_by_one.containments);
        let none = enumerate_all(&*company.connector_at(company.server.url(), "membership = 'none'")).await;
        assert_eq!(none.held_by("ada"), ["entitlement/export", "role/auditor"]);
        assert_eq!(none.held_by("bob"), [""; 0]);
    }
}

#[tokio::test]
async fn groups_that_share_a_name_are_told_apart() {
    let company = Company::start(ScimServer::start_scim2_server());
    let bob = &company.users[1];
    let twin = json!({"displayName": "eng", "members": [{"value": bob, "type": "User"}]});
    let twin = company.server.make("Groups", [twin]).remove(0);
    let facts = enumerate_all(&*company.connector()).await;
    let (first, second) = (format!("group/eng ({})", company.groups[0]), format!("group/eng ({twin})"));
    assert!(facts.held_by("ada").contains(&first) && facts.held_by("bob").contains(&second));
    assert!(!facts.entitlements.contains_key("group/eng"));
    assert_eq!(facts.problems.len(), 2, "{:?}", facts.problems);
}

#[tokio::test]
async fn members_that_nobody_knows_hold_nothing_and_are_named() {
    let company = Company::start(ScimServer::start_scimmy());
    let odd = json!({"displayName": "odd", "members": [
        {"value": "gone", "type": "User"}, {"value": "nowhere", "type": "Group"}, {"value": company.users[0]},
    ]});
    company.server.make("Groups", [odd]);
    let (facts, completeness) = enumerate(&*company.connector()).await;
    assert!(completeness.is_complete(), "{completeness:?}");
    assert!(
        facts.held_by("ada").contains(&"group/odd".to_owned()),
        "a member without a type is found by its id"
    );
    let said: Vec<String> = facts.problems.iter().map(|problem| problem.message.clone()).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("the user gone") && said[1].contains("the group nowhere"), "{said:?}");
}

#[tokio::test]
async fn many_users_come_page_after_page() {
    for server in [ScimServer::start_scim2_server(), ScimServer::start_scimmy()] {
        let company = Company::start(server);
        let people =
            (0..57).map(|number| json!({"userName": format!("person-{number}"), "active": number % 2 == 0}));
        company.server.make("Users", people);
        for more in
            ["", "page_size = 3", "page_size = 7\npage_overlap = false", "page_size = 10000\nsort_by = 'id'"]
        {
            let facts = enumerate_all(&*company.connector_at(company.server.url(), more)).await;
            assert_eq!(facts.accounts.len(), 60, "{more}");
            assert!(facts.accounts["person-56"].enabled && !facts.accounts["person-55"].enabled);
        }
    }
}

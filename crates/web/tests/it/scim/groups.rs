//! Groups and their members: nothing that is said of something else loses a member.

use serde_json::{Value, json};

use super::{GROUP, GROUPS, Provider, USERS, encoded, id};

/// The ids of the members, in their order.
fn members(group: &Value) -> Vec<String> {
    let members = group["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    members.iter().filter_map(|member| member["value"].as_str().map(str::to_owned)).collect()
}

/// Ids in the order in which they are shown.
fn sorted(ids: &[&String]) -> Vec<String> {
    let mut ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn members_come_and_go_as_providers_say_it() {
    let mut provider = Provider::new().await;
    let (ada, bo, cy) = (provider.user("ada").await, provider.user("bo").await, provider.user("cy").await);
    for (what, operations, expected) in [
        (
            "Okta: a new name without a path, with the id, touches no member",
            json!([{"op": "replace", "value": {"id": "GROUP", "displayName": "Others"}}]),
            vec![&ada, &bo],
        ),
        (
            "Okta: one goes and one comes in one request",
            json!([{"op": "remove", "path": format!("members[value eq \"{ada}\"]")},
                {"op": "add", "path": "members", "value": [{"value": cy, "display": "cy"}]}]),
            vec![&bo, &cy],
        ),
        (
            "Okta: all members replaced",
            json!([{"op": "replace", "path": "members", "value": [{"value": cy}]}]),
            vec![&cy],
        ),
        (
            "Entra ID: members to go, listed beside the path",
            json!([{"op": "Remove", "path": "members", "value": [{"value": ada}]}]),
            vec![&bo],
        ),
        (
            "Entra ID: a member with another name for their name",
            json!([{"op": "Add", "path": "members", "value": [{"value": cy, "displayName": "Cy"}]}]),
            vec![&ada, &bo, &cy],
        ),
        (
            "who is there already is not there twice",
            json!([{"op": "add", "path": "members", "value": [{"value": ada}, {"value": ada}]}]),
            vec![&ada, &bo],
        ),
        (
            "somebody who is not there goes",
            json!([{"op": "remove", "path": "members[value eq \"nobody\"]"}]),
            vec![&ada, &bo],
        ),
        (
            "an empty list of members to go names nobody",
            json!([{"op": "remove", "path": "members", "value": []}]),
            vec![&ada, &bo],
        ),
        ("all members go", json!([{"op": "remove", "path": "members"}]), vec![]),
        (
            "another attribute touches no member",
            json!([{"op": "replace", "path": "externalId", "value": "g-1"}]),
            vec![&ada, &bo],
        ),
        (
            "no members in an addition",
            json!([{"op": "add", "path": "members", "value": []}]),
            vec![&ada, &bo],
        ),
    ] {
        let group = provider
            .make(
                GROUPS,
                json!({"schemas": [GROUP], "displayName": "Team",
            "members": [{"value": ada}, {"value": bo}]}),
            )
            .await;
        assert_eq!(members(&group), sorted(&[&ada, &bo]));
        let path = format!("{GROUPS}/{}", id(&group));
        let changed = provider.patch(&path, operations).await;
        assert_eq!(members(&changed), sorted(&expected), "{what}\n{changed:#}");
        assert_eq!(provider.get(&path).await, changed, "{what}");
        provider.call("DELETE", &path, Value::Null, 204).await;
    }
}

#[tokio::test]
async fn who_is_named_twice_is_a_member_once() {
    let mut provider = Provider::new().await;
    let (ada, bo) = (provider.user("ada").await, provider.user("bo").await);
    let twice = json!([{"value": ada, "display": "then"}, {"value": bo}, {"value": ada, "display": "now"}]);
    let group = provider.make(GROUPS, json!({"displayName": "Team", "members": twice})).await;
    assert_eq!(members(&group), sorted(&[&ada, &bo]));
    let path = format!("{GROUPS}/{}", id(&group));
    let put = provider.call("PUT", &path, json!({"displayName": "Team", "members": twice}), 200).await.json();
    assert_eq!(members(&put), sorted(&[&ada, &bo]));
    assert_eq!(provider.get(&path).await, put);
    assert!(put.to_string().contains("now") && !put.to_string().contains("then"), "{put:#}");
}

#[tokio::test]
async fn a_group_says_who_its_members_are_and_where() {
    let mut provider = Provider::new().await;
    let ada = provider.user("ada").await;
    let inner =
        id(&provider.make(GROUPS, json!({"displayName": "Inner", "members": [{"value": ada}]})).await);
    let outer = provider
        .make(
            GROUPS,
            json!({"displayName": "Outer",
        "members": [{"value": inner, "type": "Group"}, {"value": ada, "display": "Ada"}]}),
        )
        .await;
    let listed = outer["members"].as_array().expect("members").clone();
    let of =
        |id: &String| listed.iter().find(|member| member["value"] == id.as_str()).expect("a member").clone();
    assert_eq!(
        of(&ada),
        json!({"value": ada, "display": "Ada", "type": "User",
        "$ref": format!("http://127.0.0.1:8420/scim/v2/Users/{ada}")})
    );
    assert_eq!(
        of(&inner),
        json!({"value": inner, "type": "Group",
        "$ref": format!("http://127.0.0.1:8420/scim/v2/Groups/{inner}")})
    );

    // Two groups may have one name; no two users do.
    provider.make(GROUPS, json!({"displayName": "outer"})).await;
    provider.call("POST", super::USERS, json!({"userName": "ADA"}), 409).await;
    provider.call("POST", GROUPS, json!({"displayName": "X", "members": [{"display": "Ada"}]}), 400).await;

    // A whole group is what was sent; a deleted user is in no group.
    let path = format!("{GROUPS}/{}", id(&outer));
    let put = provider
        .call("PUT", &path, json!({"displayName": "Outer", "members": [{"value": ada}]}), 200)
        .await
        .json();
    assert_eq!(members(&put), sorted(&[&ada]));
    let known = [("if-none-match", put["meta"]["version"].as_str().expect("a version"))];
    assert_eq!(provider.program.call_with("GET", &path, &known, Value::Null).await.status, 304);
    provider.call("DELETE", &format!("{}/{ada}", super::USERS), Value::Null, 204).await;
    // Whoever kept the group as it was hears that it is another one.
    let told = provider.program.call_with("GET", &path, &known, Value::Null).await;
    assert_eq!((told.status.as_u16(), told.header("etag")), (200, "W/\"3\""));
    assert!(members(&told.json()).is_empty());
    assert!(members(&provider.get(&format!("{GROUPS}/{inner}")).await).is_empty());
}

#[tokio::test]
async fn a_large_group_is_changed_by_few_operations_at_once() {
    let mut provider = Provider::new().await;
    let many: Vec<Value> = (0..10_501).map(|number| json!({"value": format!("m{number:05}")})).collect();
    let group = id(&provider.make(GROUPS, json!({"displayName": "Everybody", "members": many})).await);
    let path = format!("{GROUPS}/{group}");
    let remove =
        |number: usize| json!({"op": "remove", "path": format!("members[value eq \"m{number:05}\"]")});
    let operations = |count: usize| super::patch((0..count).map(remove).collect());
    let refused = provider.call("PATCH", &path, operations(1_000), 413).await.json();
    assert!(
        refused["detail"].as_str().is_some_and(|detail| detail.contains("several requests")),
        "{refused}"
    );
    provider.call("PATCH", &path, operations(20), 200).await;
    assert_eq!(members(&provider.get(&path).await).len(), 10_501 - 20);
    let found =
        provider.get(&format!("{GROUPS}?filter=members.value%20sw%20%22m1050%22&attributes=id")).await;
    assert_eq!(found["totalResults"], 1, "found by looking at all members, as no index has the answer");
    let none = provider.get(&format!("{GROUPS}?filter=members.value%20sw%20%22m1051%22")).await;
    assert_eq!(none["totalResults"], 0);
}

#[tokio::test]
async fn a_member_is_another_one_or_stays_who_they_are() {
    let mut provider = Provider::new().await;
    let group =
        id(&provider.make(GROUPS, json!({"displayName": "Team", "members": [{"value": "m1"}]})).await);
    let path = format!("{GROUPS}/{group}");
    for path_of_change in ["members[value eq \"m1\"].value", "members.value", "members[value eq \"m1\"].type"]
    {
        let changed = json!([{"op": "replace", "path": path_of_change, "value": "m2"}]);
        let told = provider.call("PATCH", &path, super::patch(changed), 400).await.json();
        assert_eq!(told["scimType"], "mutability", "{path_of_change}: {told}");
    }
    assert_eq!(members(&provider.get(&path).await), ["m1"]);
}

/// What a user is told to be a member of: each group's name and how.
fn groups(user: &Value) -> Vec<(String, String)> {
    let groups = user["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    groups.iter().map(|group| (text(&group["display"]), text(&group["type"]))).collect()
}

#[tokio::test]
async fn a_user_tells_of_which_groups_they_are_a_member() {
    let mut provider = Provider::new().await;
    let (ada, bo) = (provider.user("ada").await, provider.user("bo").await);
    let path = format!("{USERS}/{ada}");
    let direct = |names: &[&str]| -> Vec<(String, String)> {
        names.iter().map(|name| ((*name).to_owned(), "direct".to_owned())).collect()
    };
    let alone = provider.get(&path).await;
    assert_eq!((alone.get("groups"), &alone["meta"]["version"]), (None, &json!("W/\"1\"")));
    let team = id(&provider.make(GROUPS, json!({"displayName": "Team", "members": [{"value": ada}]})).await);
    let all = json!({"displayName": "All", "members": [{"value": team, "type": "Group"}]});
    let all = id(&provider.make(GROUPS, all).await);
    let told = provider.get(&path).await;
    // Not what their groups are in.
    let reference = format!("http://127.0.0.1:8420/scim/v2/Groups/{team}");
    assert_eq!(
        told["groups"],
        json!([{"value": team, "display": "Team", "type": "direct", "$ref": reference}])
    );

    // Whoever kept the user as they were hears that something else is told of them, …
    let version = |user: &Value| user["meta"]["version"].as_str().expect("a version").to_owned();
    let mut kept = vec![version(&alone)];
    let team_path = format!("{GROUPS}/{team}");
    for (operations, expected) in [
        (json!([]), direct(&["Team"])),
        (json!([{"op": "replace", "path": "displayName", "value": "Crew"}]), direct(&["Crew"])),
        (json!([{"op": "add", "path": "members", "value": [{"value": bo}]}]), direct(&["Crew"])),
        (json!([{"op": "remove", "path": format!("members[value eq \"{ada}\"]")}]), vec![]),
        (json!([{"op": "add", "path": "members", "value": [{"value": ada}]}]), direct(&["Crew"])),
    ] {
        if operations != json!([]) {
            provider.patch(&team_path, operations.clone()).await;
        }
        let known = [("if-none-match", kept.last().expect("one").as_str())];
        let answer = provider.program.call_with("GET", &path, &known, Value::Null).await;
        let is_same = operations[0]["value"] == json!([{"value": bo}]);
        assert_eq!(answer.status.as_u16(), if is_same { 304 } else { 200 }, "{operations}");
        let told = provider.get(&path).await;
        assert_eq!(groups(&told), expected, "{operations}");
        let listed = provider.get(&format!("{USERS}?filter=userName%20eq%20%22ada%22")).await;
        assert_eq!(listed["Resources"][0], told, "{operations}");
        kept.push(version(&told));
    }
    // … and whoever changes the user overwrites nothing by it, so nothing stands against that.
    let mut user = provider.get(&path).await;
    user["title"] = json!("Lead");
    user["groups"] = json!([{"value": all}]);
    let known = [("if-match", kept[0].as_str())];
    let changed = provider.program.call_with("PUT", &path, &known, user).await;
    assert_eq!(changed.status.as_u16(), 200, "{}", changed.text);
    assert_eq!(groups(&changed.json()), direct(&["Crew"]), "groups are changed where they are");
    assert_eq!(provider.get(&path).await, changed.json());
    let stale = provider.program.call_with("PUT", &path, &known, json!({"userName": "ada"})).await;
    assert_eq!(stale.status.as_u16(), 412);
    let patched = provider.patch(&path, json!([{"op": "replace", "path": "title", "value": "Head"}])).await;
    assert_eq!(groups(&patched), direct(&["Crew"]));

    for (filter, expected) in [
        (format!("groups.value eq \"{team}\""), vec!["ada", "bo"]),
        (format!("groups[value eq \"{team}\"]"), vec!["ada", "bo"]),
        (format!("groups[display eq \"crew\" and value eq \"{team}\"] and title pr"), vec!["ada"]),
        ("groups[display sw \"Cre\"]".to_owned(), vec!["ada", "bo"]),
        (format!("groups.value eq \"{all}\""), vec![]),
        ("not (groups pr)".to_owned(), vec![]),
    ] {
        for page in ["count=10", "count=10&cursor="] {
            let found = provider.get(&format!("{USERS}?{page}&filter={}", encoded(&filter))).await;
            assert_eq!(super::names(&found), expected, "{filter}");
        }
    }
    let version = provider.get(&path).await["meta"]["version"].as_str().expect("a version").to_owned();
    for (tag, status) in [("1", 412), ("\"1-", 412), ("\"3-zzz\"", 412), (version.as_str(), 200)] {
        let body = super::patch(json!([{"op": "replace", "path": "title", "value": "Head"}]));
        let answer = provider.program.call_with("PATCH", &path, &[("if-match", tag)], body).await;
        assert_eq!(answer.status.as_u16(), status, "{tag}: {}", answer.text);
    }
    let shown = encoded(&format!("meta.version eq {}", json!(version)));
    assert_eq!(super::names(&provider.get(&format!("{USERS}?filter={shown}")).await), ["ada"]);
    let without = provider.get(&format!("{path}?excludedAttributes=groups")).await;
    assert_eq!((without.get("groups"), without.get("title")), (None, Some(&json!("Head"))));
    let only = provider.get(&format!("{path}?attributes=groups.display")).await;
    assert_eq!(only["groups"], json!([{"display": "Crew"}]));
    provider.call("DELETE", &team_path, Value::Null, 204).await;
    assert_eq!(groups(&provider.get(&path).await), vec![]);
    // What is pushed into one system tells nothing of another.
    let mut elsewhere = super::pushing(&provider.installation, "portal").await;
    assert_eq!(elsewhere.get(&path).await.status.as_u16(), 404);
}

#[tokio::test]
async fn members_are_left_out_where_nobody_asks_for_them() {
    let mut provider = Provider::new().await;
    let ada = provider.user("ada").await;
    let group = id(&provider.make(GROUPS, json!({"displayName": "Team", "members": [{"value": ada}]})).await);
    for (query, shown) in [
        ("", true),
        ("excludedAttributes=members", false),
        ("excludedAttributes=MEMBERS,externalId", false),
        ("attributes=displayName", false),
        ("attributes=members.value", true),
        ("attributes=members", true),
    ] {
        let one = provider.get(&format!("{GROUPS}/{group}?{query}")).await;
        let list = provider.get(&format!("{GROUPS}?{query}")).await;
        assert_eq!(one, list["Resources"][0], "{query}");
        assert_eq!(!members(&one).is_empty(), shown, "{query}: {one}");
        assert!(one["id"].is_string() && one["schemas"].is_array(), "{query}: {one}");
    }
    let found = provider.get(&format!("{GROUPS}?filter=members.value%20eq%20%22{ada}%22")).await;
    assert_eq!(found["totalResults"], 1);
}

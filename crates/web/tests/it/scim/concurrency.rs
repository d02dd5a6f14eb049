//! Many requests at once: nothing is lost, and of two who want the same one gets it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{GROUPS, Provider, USERS, id, patch, pushing};

const MANY: usize = 60;

/// Sends requests at once, each from a program of its own, and gives their statuses.
async fn at_once(provider: &Provider, requests: Vec<(&'static str, String, Value)>) -> Vec<u16> {
    let mut running = JoinSet::new();
    for (method, path, body) in requests {
        let mut program = pushing(&provider.installation, "hr").await;
        running.spawn(async move { program.call(method, &path, body).await.status.as_u16() });
    }
    running.join_all().await
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|one| **one == status).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn members_added_at_once_are_all_there() {
    let mut provider = Provider::new().await;
    let group = id(&provider.make(GROUPS, json!({"displayName": "Team"})).await);
    let path = format!("{GROUPS}/{group}");
    let add = |number: usize| {
        let member = json!([{"op": "add", "path": "members", "value": [{"value": format!("m{number:03}")}]}]);
        ("PATCH", path.clone(), patch(member))
    };
    let statuses = at_once(&provider, (0..MANY).map(add).collect()).await;
    assert_eq!(count(&statuses, 200), MANY, "{statuses:?}");
    let shown = provider.get(&path).await;
    let members: BTreeSet<&str> = shown["members"]
        .as_array()
        .expect("members")
        .iter()
        .filter_map(|member| member["value"].as_str())
        .collect();
    assert_eq!(members.len(), MANY);
    assert_eq!(shown["meta"]["version"], format!("W/\"{}\"", MANY + 1));
    let remove = |number: usize| {
        let gone = json!([{"op": "remove", "path": format!("members[value eq \"m{number:03}\"]")}]);
        ("PATCH", path.clone(), patch(gone))
    };
    at_once(&provider, (0..MANY).map(remove).collect()).await;
    assert!(provider.get(&path).await.get("members").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_want_one_name_one_gets_it() {
    let mut provider = Provider::new().await;
    let make = |number: usize| {
        let name = if number.is_multiple_of(2) { "ada@example.com" } else { "ADA@example.com" };
        ("POST", USERS.to_owned(), json!({"userName": name, "externalId": number.to_string()}))
    };
    let statuses = at_once(&provider, (0..MANY).map(make).collect()).await;
    assert_eq!((count(&statuses, 201), count(&statuses, 409)), (1, MANY - 1), "{statuses:?}");
    let path = format!("{USERS}/{}", id(&provider.get(USERS).await["Resources"][0]));
    // Of many who change the same version one does, and of many who delete one does.
    let mut running = JoinSet::new();
    for number in 0..MANY {
        let (mut program, path) = (pushing(&provider.installation, "hr").await, path.clone());
        let body = patch(json!([{"op": "replace", "path": "title", "value": number.to_string()}]));
        running.spawn(async move {
            program.call_with("PATCH", &path, &[("if-match", "W/\"1\"")], body).await.status.as_u16()
        });
    }
    let statuses = running.join_all().await;
    assert_eq!((count(&statuses, 200), count(&statuses, 412)), (1, MANY - 1), "{statuses:?}");
    let statuses =
        at_once(&provider, (0..MANY).map(|_| ("DELETE", path.clone(), Value::Null)).collect()).await;
    assert_eq!((count(&statuses, 204), count(&statuses, 404)), (1, MANY - 1), "{statuses:?}");
}

//! What identity providers push: written by many at once, read as one state, and a leaver when it is deleted.

use std::sync::Arc;

use leasehold_store::{
    ApiToken, NewApiToken, NewUser, ScimAuthority, ScimContent, ScimDecision, ScimMember, ScimPlace,
    ScimQueue, ScimRefusal, ScimResource, ScimSought, ScimWrite, ScimWritten, Store,
};

use crate::common::*;

fn users(system: &str) -> ScimPlace {
    ScimPlace { system: system.to_owned(), kind: "User", has_members: false, member_of: Some("Group") }
}

fn groups(system: &str) -> ScimPlace {
    ScimPlace { system: system.to_owned(), kind: "Group", has_members: true, member_of: None }
}

fn content(name: &str) -> ScimContent {
    ScimContent {
        name: name.to_lowercase(),
        is_name_unique: true,
        external_id: Some(format!("ext-{name}")),
        document: format!("{{\"userName\":\"{name}\"}}").into(),
        members: Vec::new(),
    }
}

fn members(ids: &[&str]) -> Vec<ScimMember> {
    ids.iter()
        .map(|id| ScimMember { id: (*id).to_owned(), document: format!("{{\"value\":\"{id}\"}}") })
        .collect()
}

fn create(id: &str, content: ScimContent) -> ScimWrite {
    ScimWrite::Create { id: id.to_owned(), is_id_known: false, content }
}

fn change(id: &str, decide: impl FnOnce(&ScimResource) -> ScimDecision + Send + 'static) -> ScimWrite {
    ScimWrite::Change { id: id.to_owned(), decide: Box::new(decide) }
}

fn delete(_: &ScimResource) -> ScimDecision {
    ScimDecision::Delete { containers: vec!["Group"] }
}

fn put(
    content: ScimContent,
    ends_access: bool,
) -> impl FnOnce(&ScimResource) -> ScimDecision + Send + 'static {
    move |_| ScimDecision::Put { content, ends_access }
}

/// The queue of a process, and a token for a system.
struct Pusher {
    queue: ScimQueue,
    by: ScimAuthority,
    token: ApiToken,
}

impl Pusher {
    async fn new(fresh: &Fresh, system: &str) -> Self {
        let new = NewUser {
            mail: format!("{system}@example.com"),
            name: "Pusher".to_owned(),
            roles: vec!["administrator".to_owned()],
            password_hash: None,
            password_alone: false,
        };
        let user = fresh.store.create_user(&new, "ops", at(0)).await.expect("a user");
        let new = NewApiToken {
            token_hash: format!("hash of {system}"),
            user: user.id.clone(),
            name: "okta".to_owned(),
            scopes: vec!["scim".to_owned()],
            system: Some(system.to_owned()),
            expires_at: at(100),
        };
        let token = fresh.store.create_token(&new, "ops", at(0)).await.expect("a token");
        let by = ScimAuthority { token: token.id.clone(), owner_version: user.version };
        Self { queue: ScimQueue::new(fresh.store.clone()), by, token }
    }

    async fn write(&self, place: ScimPlace, write: ScimWrite, minute: i64) -> ScimWritten {
        self.queue.write(self.by.clone(), place, write, at(minute)).await.expect("writes")
    }

    async fn read(&self, place: ScimPlace, sought: ScimSought) -> Vec<ScimResource> {
        let found = self.queue.read(self.by.clone(), place, sought, at(1)).await.expect("reads");
        found.into_iter().map(Arc::unwrap_or_clone).collect()
    }
}

fn ids(resources: &[ScimResource]) -> Vec<&str> {
    resources.iter().map(|resource| resource.id.as_str()).collect()
}

fn now(written: ScimWritten) -> ScimResource {
    match written {
        ScimWritten::Now(resource) => Arc::unwrap_or_clone(resource),
        other => panic!("{other:?}"),
    }
}

on_both! {
    async fn what_is_written_is_there_and_found_by_its_names(fresh: &Fresh) {
        let pusher = Pusher::new(fresh, "hr").await;
        let made = now(pusher.write(users("hr"), create("u1", content("Ada")), 1).await);
        assert_eq!((made.version, made.created_at, made.changed_at), (1, at(1), at(1)));
        assert_eq!(pusher.write(users("hr"), create("u2", content("ADA")), 1).await, ScimWritten::NameTaken);
        now(pusher.write(users("hr"), create("u2", content("Bo")), 1).await);
        let same_name_elsewhere = Pusher::new(fresh, "portal").await;
        now(same_name_elsewhere.write(users("portal"), create("u1", content("Ada")), 1).await);
        for (sought, expected) in [
            (ScimSought::Id("u1".to_owned()), vec!["u1"]),
            (ScimSought::Name("ada".to_owned()), vec!["u1"]),
            (ScimSought::Name("Ada".to_owned()), vec![]),
            (ScimSought::ExternalId("ext-Bo".to_owned()), vec!["u2"]),
            (ScimSought::ExternalId("EXT-Bo".to_owned()), vec![]),
            (ScimSought::Id("none".to_owned()), vec![]),
        ] {
            assert_eq!(ids(&pusher.read(users("hr"), sought.clone()).await), expected, "{sought:?}");
        }
        assert!(pusher.read(groups("hr"), ScimSought::Id("u1".to_owned())).await.is_empty());

        let changed = now(pusher.write(users("hr"), change("u1", put(content("Augusta"), false)), 5).await);
        assert_eq!((changed.version, changed.created_at, changed.changed_at), (2, at(1), at(5)));
        assert_eq!(pusher.write(users("hr"), change("u1", put(content("bo"), false)), 5).await, ScimWritten::NameTaken);
        let kept = pusher.write(users("hr"), change("u1", |_| ScimDecision::Keep), 6).await;
        assert!(matches!(&kept, ScimWritten::Kept(resource) if resource.version == 2), "{kept:?}");
        assert_eq!(pusher.read(users("hr"), ScimSought::Name("augusta".to_owned())).await, [changed]);
        assert!(pusher.read(users("hr"), ScimSought::Name("ada".to_owned())).await.is_empty());
        assert_eq!(pusher.write(users("hr"), change("none", delete), 6).await, ScimWritten::NotThere);
    }

    async fn who_is_deleted_is_told_as_gone_until_the_name_comes_back(fresh: &Fresh) {
        let pusher = Pusher::new(fresh, "hr").await;
        now(pusher.write(users("hr"), create("u1", content("Ada")), 1).await);
        let group = ScimContent { is_name_unique: false, members: members(&["u1", "u2"]), ..content("Team") };
        now(pusher.write(groups("hr"), create("g1", group), 1).await);
        assert_eq!(pusher.write(users("hr"), change("u1", delete), 2).await, ScimWritten::Deleted);
        let team = &pusher.read(groups("hr"), ScimSought::Id("g1".to_owned())).await[0];
        assert_eq!(team.members, members(&["u2"]), "who is deleted is in no group");
        assert_eq!((team.version, team.changed_at), (2, at(2)), "and without them it is another version");
        let mut feed = fresh.store.push_feed(&system("hr")).await.expect("reads");
        let gone = feed.deleted_after("User", "", 10).await.expect("reads");
        assert_eq!(gone, [("u1".to_owned(), "{\"userName\":\"Ada\"}".to_owned())]);
        assert!(feed.deleted_after("User", "u1", 10).await.expect("reads").is_empty());
        drop(feed);
        now(pusher.write(users("hr"), create("u9", content("ada")), 3).await);
        let mut feed = fresh.store.push_feed(&system("hr")).await.expect("reads");
        assert!(feed.deleted_after("User", "", 10).await.expect("reads").is_empty());
    }

    async fn members_are_rows_of_their_own(fresh: &Fresh) {
        let pusher = Pusher::new(fresh, "hr").await;
        let group = |ids: &[&str]| ScimContent { is_name_unique: false, members: members(ids), ..content("Team") };
        now(pusher.write(groups("hr"), create("g1", group(&["b", "a", "c"])), 1).await);
        now(pusher.write(groups("hr"), create("g2", group(&["a"])), 1).await);
        let shown = pusher.read(groups("hr"), ScimSought::Name("team".to_owned())).await;
        assert_eq!(ids(&shown), ["g1", "g2"], "two may have one name");
        assert_eq!(shown[0].members, members(&["a", "b", "c"]));
        let changed = now(pusher.write(groups("hr"), change("g1", put(group(&["d", "a"]), false)), 2).await);
        assert_eq!(changed.members, members(&["a", "d"]));
        assert_eq!(pusher.read(groups("hr"), ScimSought::Id("g1".to_owned())).await, [changed]);
        let mut feed = fresh.store.push_feed(&system("hr")).await.expect("reads");
        let of = feed.groups_of("Group", &["a", "b", "d"]).await.expect("reads");
        let of: Vec<&str> = of.iter().map(|(member, _)| member.as_str()).collect();
        assert_eq!(of, ["a", "a", "d"]);
        let with = feed.reading().with_member("Group", "a").await.expect("reads");
        assert_eq!(ids(&with), ["g1", "g2"]);
        assert_eq!(feed.reading().count_members(&with).await.expect("reads"), 3);
        assert_eq!(feed.reading().count_members(&[]).await.expect("reads"), 0);
        drop(feed);
        pusher.write(groups("hr"), change("g1", delete), 3).await;
        assert_eq!(pusher.read(groups("hr"), ScimSought::Name("team".to_owned())).await.len(), 1);
    }

    async fn what_many_write_at_once_is_all_there(fresh: &Fresh) {
        let pusher = Arc::new(Pusher::new(fresh, "hr").await);
        let mut running = tokio::task::JoinSet::new();
        for number in 0..300 {
            let pusher = pusher.clone();
            running.spawn(async move {
                // Every third wants a name that others want, too.
                let name = if number % 3 == 0 { "wanted".to_owned() } else { format!("user{number}") };
                let written = pusher.write(users("hr"), create(&format!("u{number:03}"), content(&name)), 1).await;
                matches!(written, ScimWritten::Now(_))
            });
        }
        let made = running.join_all().await.into_iter().filter(|made| *made).count();
        assert_eq!(made, 201, "two hundred, and one of a hundred");
        let mut feed = fresh.store.push_feed(&system("hr")).await.expect("reads");
        assert_eq!(feed.reading().count("User").await.expect("reads"), 201);
        drop(feed);
        // Each of many adds a letter to what is there: none is lost.
        let id = pusher.read(users("hr"), ScimSought::Name("wanted".to_owned())).await[0].id.clone();
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (pusher, id) = (pusher.clone(), id.clone());
            running.spawn(async move {
                let longer = |before: &ScimResource| {
                    let document = before.document.replace("wanted", "wanted+");
                    let content = ScimContent { document: document.into(), ..content("wanted") };
                    ScimDecision::Put { content, ends_access: false }
                };
                now(pusher.write(users("hr"), change(&id, longer), 2).await).version
            });
        }
        let mut versions = running.join_all().await;
        versions.sort_unstable();
        assert_eq!(versions, (2..=101).collect::<Vec<i64>>());
        let last = pusher.read(users("hr"), ScimSought::Id(id)).await;
        assert_eq!(last[0].document.matches('+').count(), 100);
    }

    async fn of_many_that_want_one_name_at_once_the_first_has_it(fresh: &Fresh) {
        let pusher = Pusher::new(fresh, "hr").await;
        for (round, count) in [1_usize, 2, 5, 33, 300].into_iter().enumerate() {
            let name = |number: usize| format!("{round}-{}", number / 3);
            let id = |number: usize| format!("u{round}-{number:04}");
            let writes = (0..count).map(|number| pusher.write(users("hr"), create(&id(number), content(&name(number))), 1));
            let written = futures::future::join_all(writes).await;
            for (number, written) in written.into_iter().enumerate() {
                if number % 3 == 0 {
                    assert_eq!(now(written).id, id(number));
                } else {
                    assert_eq!(written, ScimWritten::NameTaken, "{number} of {count}");
                }
                let found = pusher.read(users("hr"), ScimSought::Name(name(number))).await;
                assert_eq!(ids(&found), [id(number - number % 3).as_str()]);
            }
        }
    }

    async fn what_is_new_and_what_is_changed_comes_at_once(fresh: &Fresh) {
        let pusher = Pusher::new(fresh, "hr").await;
        now(pusher.write(users("hr"), create("gone", content("Old")), 1).await);
        assert_eq!(pusher.write(users("hr"), change("gone", delete), 1).await, ScimWritten::Deleted);
        // Those that wait while the first is written share a transaction, in the order of their coming.
        let group = ScimContent { is_name_unique: false, members: members(&["u1", "u2"]), ..content("Team") };
        let writes = [
            (users("hr"), create("u0", content("First"))),
            (users("hr"), create("u1", content("Ada"))),
            (users("hr"), create("u2", content("ada"))),
            (users("hr"), create("u3", content("old"))),
            (users("hr"), change("u1", put(content("Augusta"), false))),
            (users("hr"), create("u4", content("Ada"))),
            (groups("hr"), create("g1", group)),
            (users("hr"), change("u4", delete)),
            (users("hr"), create("u5", content("Ada"))),
        ];
        let writes = writes.map(|(place, write)| pusher.write(place, write, 2));
        let written = futures::future::join_all(writes).await;
        let what = |written: &ScimWritten| match written {
            ScimWritten::Now(resource) => format!("{} {}", resource.id, resource.version),
            other => format!("{other:?}"),
        };
        let expected = ["u0 1", "u1 1", "NameTaken", "u3 1", "u1 2", "u4 1", "g1 1", "Deleted", "u5 1"];
        assert_eq!(written.iter().map(what).collect::<Vec<_>>(), expected);
        let mut feed = fresh.store.push_feed(&system("hr")).await.expect("reads");
        assert_eq!(ids(&feed.reading().after("User", "", 10).await.expect("reads")), ["u0", "u1", "u3", "u5"]);
        assert!(feed.deleted_after("User", "", 10).await.expect("reads").is_empty(), "both came back");
        drop(feed);
        let team = &pusher.read(groups("hr"), ScimSought::Id("g1".to_owned())).await[0];
        assert_eq!(team.members, members(&["u1", "u2"]));
    }

    async fn whoever_panics_takes_only_those_along_who_shared_the_transaction(fresh: &Fresh) {
        let pusher = Pusher::new(fresh, "hr").await;
        now(pusher.write(users("hr"), create("u1", content("Ada")), 1).await);
        let panics = change("u1", |_| panic!("this is what the test is about"));
        let refused = pusher.queue.write(pusher.by.clone(), users("hr"), panics, at(2)).await;
        assert!(matches!(&refused, Err(ScimRefusal::Failed(_))), "{refused:?}");
        let changed = now(pusher.write(users("hr"), change("u1", put(content("Augusta"), false)), 3).await);
        assert_eq!(changed.version, 2);
        assert_eq!(pusher.read(users("hr"), ScimSought::Id("u1".to_owned())).await, [changed]);
    }

    async fn what_was_pushed_is_unread_until_it_was_read(fresh: &Fresh) {
        let pusher = Pusher::new(fresh, "hr").await;
        assert!(fresh.store.unread_pushes().await.expect("reads").is_empty());
        now(pusher.write(users("hr"), create("u1", content("Ada")), 1).await);
        now(pusher.write(users("hr"), change("u1", put(content("Augusta"), false)), 3).await);
        let unread = fresh.store.unread_pushes().await.expect("reads");
        assert_eq!((unread[0].ends_access, unread[0].since, unread[0].changed_at), (false, at(1), at(3)));
        let feed = fresh.store.push_feed(&system("hr")).await.expect("reads");
        let read = feed.change();
        drop(feed);
        // While it is read, somebody leaves.
        now(pusher.write(users("hr"), change("u1", put(content("Augusta Ada"), true)), 4).await);
        fresh.store.pushes_read(&system("hr"), read, at(5)).await.expect("notes");
        let unread = fresh.store.unread_pushes().await.expect("reads");
        assert_eq!((unread[0].ends_access, unread[0].since), (true, at(5)));
        let change = fresh.store.push_feed(&system("hr")).await.expect("reads").change();
        fresh.store.pushes_read(&system("hr"), change, at(6)).await.expect("notes");
        assert!(fresh.store.unread_pushes().await.expect("reads").is_empty());
        pusher.write(users("hr"), create("u2", content("augusta ada")), 7).await;
        assert!(fresh.store.unread_pushes().await.expect("reads").is_empty(), "nothing was written");
    }

    async fn a_feed_is_of_one_instant(fresh: &Fresh) {
        let pusher = Pusher::new(fresh, "hr").await;
        now(pusher.write(users("hr"), create("u1", content("Ada")), 1).await);
        let mut feed = fresh.store.push_feed(&system("hr")).await.expect("reads");
        now(pusher.write(users("hr"), create("u2", content("Bo")), 2).await);
        pusher.write(users("hr"), change("u1", delete), 2).await;
        assert_eq!(ids(&feed.reading().after("User", "", 10).await.expect("reads")), ["u1"]);
        assert!(feed.deleted_after("User", "", 10).await.expect("reads").is_empty());
    }

    async fn what_others_have_committed_is_seen_by_the_next_question(fresh: &Fresh) {
        let pusher = Pusher::new(fresh, "hr").await;
        let made = now(pusher.write(users("hr"), create("u1", content("Ada")), 1).await);
        now(pusher.write(users("hr"), create("u2", content("Bo")), 1).await);
        let sought = || ScimSought::Id("u1".to_owned());
        // Asked more than once, it is known without a statement.
        for _ in 0..3 {
            assert_eq!(pusher.read(users("hr"), sought()).await, std::slice::from_ref(&made));
        }
        let elsewhere = ScimQueue::new(Store::open(&fresh.url, options()).await.expect("opens"));
        for number in 0..100 {
            let longer = put(content(&format!("Ada {number}")), false);
            let written = elsewhere.write(pusher.by.clone(), users("hr"), change("u1", longer), at(2)).await;
            let written = now(written.expect("writes"));
            assert_eq!(pusher.read(users("hr"), sought()).await, std::slice::from_ref(&written));
            assert_eq!(pusher.read(users("hr"), sought()).await, [written]);
            assert_eq!(ids(&pusher.read(users("hr"), ScimSought::Id("u2".to_owned())).await), ["u2"]);
        }
        let read = async |by: &ScimAuthority, minute: i64| {
            pusher.queue.read(by.clone(), users("hr"), sought(), at(minute)).await
        };
        let other = ScimAuthority { owner_version: pusher.by.owner_version + 1, ..pusher.by.clone() };
        assert_eq!(read(&other, 3).await, Err(ScimRefusal::NotInForce), "another authority was not asked about");
        assert!(read(&pusher.by, 99).await.is_ok());
        assert_eq!(read(&pusher.by, 100).await, Err(ScimRefusal::NotInForce), "the token ends then");
        assert!(read(&pusher.by, 3).await.is_ok());
        let other = Store::open(&fresh.url, options()).await.expect("opens");
        other.revoke_token(&pusher.token.id, None, "ops", at(4)).await.expect("revokes");
        assert_eq!(read(&pusher.by, 5).await, Err(ScimRefusal::NotInForce));
    }

    async fn whose_authority_has_ended_reads_and_writes_nothing(fresh: &Fresh) {
        let pusher = Pusher::new(fresh, "hr").await;
        now(pusher.write(users("hr"), create("u1", content("Ada")), 1).await);
        let refused = async |by: &ScimAuthority, place: ScimPlace, minute: i64| {
            let id = ScimSought::Id("u1".to_owned());
            let read = pusher.queue.read(by.clone(), place.clone(), id, at(minute)).await;
            let written = pusher.queue.write(by.clone(), place.clone(), create("u3", content("Cy")), at(minute)).await;
            let list = fresh.store.read_scim(by, &place.system, at(minute)).await.expect("reads");
            assert_eq!((read.err(), written.err()), (Some(ScimRefusal::NotInForce), Some(ScimRefusal::NotInForce)));
            assert!(list.is_none());
        };
        let by = pusher.by.clone();
        refused(&ScimAuthority { owner_version: by.owner_version + 1, ..by.clone() }, users("hr"), 1).await;
        refused(&ScimAuthority { token: "none".to_owned(), ..by.clone() }, users("hr"), 1).await;
        refused(&by, users("portal"), 1).await;
        refused(&by, users("hr"), 100).await;
        fresh.store.revoke_token(&pusher.token.id, None, "ops", at(2)).await.expect("revokes");
        refused(&by, users("hr"), 3).await;
    }
}

/// Runs statements on a SQLite file in another process.
fn in_another_process(url: &str, statements: &[&str]) {
    let script = "import sqlite3, sys\n\
                  connection = sqlite3.connect(sys.argv[1], timeout=20)\n\
                  for statement in sys.argv[2:]: connection.execute(statement)\n\
                  connection.commit()\n";
    let file = url.strip_prefix("sqlite:").expect("a file");
    let ended =
        std::process::Command::new("/usr/bin/python3").args(["-c", script, file]).args(statements).status();
    assert!(ended.expect("runs").success());
}

#[tokio::test]
async fn what_another_process_has_committed_is_seen_by_the_next_question() {
    let fresh = Fresh::sqlite().await;
    let pusher = Pusher::new(&fresh, "hr").await;
    now(pusher.write(users("hr"), create("u1", content("Ada")), 1).await);
    let sought = || ScimSought::Id("u1".to_owned());
    for number in 0..5 {
        for _ in 0..3 {
            assert_eq!(pusher.read(users("hr"), sought()).await.len(), 1);
        }
        let document = format!("{{\"userName\":\"Ada {number}\"}}");
        let update = format!("UPDATE scim_resource SET document = '{document}' WHERE id = 'u1'");
        in_another_process(&fresh.url, &["UPDATE scim_head SET change = change + 1", &update]);
        assert_eq!(pusher.read(users("hr"), sought()).await[0].document, document.into());
    }
    in_another_process(&fresh.url, &["UPDATE api_token SET revoked_at = 1"]);
    let refused = pusher.queue.read(pusher.by.clone(), users("hr"), sought(), at(1)).await;
    assert_eq!(refused, Err(ScimRefusal::NotInForce));
}

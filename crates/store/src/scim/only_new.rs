//! Writing nothing but new resources where a statement for each costs little, as it is when a provider begins.
//!
//! A provider pushes thousands of users then, each by a request of its own. Written by statements for many, in a connection of the
//! pools, half of what one costs were the statements' ways to its thread and back, and the lists.

use std::sync::Arc;

use super::new::New;
use super::remembered::{Followed, Remembered};
use super::write::{self, Answer, Wanted};
use super::{ScimAuthority, ScimRefusal, ScimWrite, ScimWritten};
use crate::db::{execute, fetch_one, micros};
use crate::error::Result;
use crate::store::Store;

/// One row at a time: a statement that cannot fail half-way makes SQLite keep no copy of each page that it changes.
const INSERT: &str = "INSERT INTO scim_resource
        (system, kind, id, name, name_tie, external_id, document, version, created_at, changed_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8)
     ON CONFLICT (system, kind, name, name_tie) DO NOTHING";
/// Whoever has the name of somebody who was deleted came back.
const RETURNED: &str = "DELETE FROM scim_deleted WHERE system = $1 AND kind = $2 AND name = $3";

/// New resources without members that are in no group, of one system and by one authority.
pub(super) struct OnlyNew {
    by: ScimAuthority,
    system: String,
    new: Vec<New>,
}

impl OnlyNew {
    /// Takes these, where they are nothing else, or gives them back.
    pub fn of(wanted: Vec<Wanted>) -> std::result::Result<Self, Vec<Wanted>> {
        let Some(first) = wanted.first() else { return Err(wanted) };
        let (by, system) = (first.by.clone(), first.place.system.clone());
        let is_alike = |Wanted { by: its, place, write, .. }: &Wanted| {
            let is_new = matches!(write, ScimWrite::Create { content, is_id_known: false, .. } if content.members.is_empty());
            is_new && *its == by && place.system == system
        };
        if !wanted.iter().all(is_alike) {
            return Err(wanted);
        }
        let new =
            wanted.into_iter().enumerate().filter_map(|(position, Wanted { place, write, now, .. })| {
                match write {
                    ScimWrite::Create { id, is_id_known, content } => {
                        Some(New { position, place, id, is_id_known, content, now })
                    }
                    ScimWrite::Change { .. } => None,
                }
            });
        Ok(Self { by, system, new: new.collect() })
    }

    /// Writes them, and returns when that lasts. Nothing is written where the authority is not in force.
    pub async fn written(self, store: &Store, remembered: &Remembered) -> Result<Vec<Answer>> {
        let Self { by, system, new } = self;
        let Some(first) = new.first() else { return Ok(Vec::new()) };
        let mut tx = store.db.write_here().await?;
        let (number, in_force, any_deleted) = fetch_one!(
            &mut tx,
            (i64, i64, i64),
            write::BEGIN_CHANGE,
            by.token.as_str(),
            system.as_str(),
            micros(first.now),
            by.owner_version
        )?;
        if in_force == 0 {
            return Ok(vec![Err(ScimRefusal::NotInForce); new.len()]);
        }
        let (mut answers, mut followed) = (Vec::with_capacity(new.len()), Vec::with_capacity(new.len()));
        let mut last_at = None;
        for New { place, id, content, now, .. } in new {
            let (at, name, external_id) =
                (micros(now), content.name.as_str(), content.external_id.as_deref());
            let written = execute!(
                &mut tx,
                INSERT,
                system.as_str(),
                place.kind,
                id.as_str(),
                name,
                content.name_tie(&id),
                external_id,
                &*content.document,
                at
            )?;
            if written == 0 {
                answers.push(Ok(ScimWritten::NameTaken));
                continue;
            }
            if any_deleted > 0 {
                execute!(&mut tx, RETURNED, system.as_str(), place.kind, name)?;
            }
            last_at = Some(at);
            let resource = Arc::new(content.into_new(id, now)?);
            followed.push(Followed::Now(place, resource.clone()));
            answers.push(Ok(ScimWritten::Now(resource)));
        }
        if let Some(at) = last_at {
            execute!(&mut tx, write::NOTE_IN_FEED, system.as_str(), number, 0, at)?;
        }
        let mark = store.db.commit_mark();
        tx.commit().await?;
        write::committed(store, remembered, mark, number, followed);
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::{ScimContent, ScimPlace};
    use super::*;
    use crate::db::{execute, fetch_one};
    use crate::{NewApiToken, NewUser, StoreOptions};

    /// A store in a file, and somebody who may push.
    async fn store() -> (tempfile::TempDir, Store, ScimAuthority) {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        let store = Store::open(&url, StoreOptions::default()).await.expect("opens");
        let now = Timestamp::UNIX_EPOCH;
        let user = NewUser {
            mail: "ops@example.com".to_owned(),
            name: "Ops".to_owned(),
            roles: vec!["administrator".to_owned()],
            password_hash: None,
            password_alone: false,
        };
        let user = store.create_user(&user, "ops", now).await.expect("a user");
        let token = NewApiToken {
            token_hash: "hash".to_owned(),
            user: user.id.clone(),
            name: "okta".to_owned(),
            scopes: vec!["scim".to_owned()],
            system: Some("hr".to_owned()),
            expires_at: now + jiff::SignedDuration::from_hours(1),
        };
        let token = store.create_token(&token, "ops", now).await.expect("a token");
        (folder, store, ScimAuthority { token: token.id, owner_version: user.version })
    }

    fn wanted(by: &ScimAuthority, id: &str, name: &str) -> Wanted {
        let content = ScimContent {
            name: name.to_owned(),
            is_name_unique: true,
            external_id: None,
            document: format!("{{\"userName\":\"{name}\"}}").into(),
            members: Vec::new(),
        };
        let place =
            ScimPlace { system: "hr".to_owned(), kind: "User", has_members: false, member_of: Some("Group") };
        let write = ScimWrite::Create { id: id.to_owned(), is_id_known: false, content };
        Wanted { by: by.clone(), place, write, now: Timestamp::UNIX_EPOCH }
    }

    async fn written(store: &Store, by: &ScimAuthority, new: &[(&str, &str)]) -> Result<Vec<Answer>> {
        let Ok(new) = OnlyNew::of(new.iter().map(|(id, name)| wanted(by, id, name)).collect()) else {
            panic!("they are nothing but new")
        };
        new.written(store, &Remembered::default()).await
    }

    async fn count(store: &Store) -> (i64, i64) {
        let mut tx = store.db.read().await.expect("reads");
        fetch_one!(
            &mut tx,
            (i64, i64),
            "SELECT (SELECT COUNT(*) FROM scim_resource), (SELECT change FROM scim_head)"
        )
        .expect("reads")
    }

    #[tokio::test]
    async fn a_batch_that_fails_half_way_leaves_nothing_and_the_next_one_is_written() {
        let (_folder, store, by) = store().await;
        let mark = store.db.commit_mark();
        let done = written(&store, &by, &[("u1", "ada"), ("u2", "bo")]).await.expect("writes");
        assert!(done.iter().all(|answer| matches!(answer, Ok(ScimWritten::Now(_)))), "{done:?}");
        assert!(mark.is_some() && mark != store.db.commit_mark(), "whoever remembers is told");
        let mark = store.db.commit_mark();
        // Ids are ours, so that cannot happen; were it to, it would be no name that is taken.
        let failed = written(&store, &by, &[("u3", "cy"), ("u1", "di"), ("u4", "ed")]).await;
        assert!(failed.is_err(), "{failed:?}");
        assert_eq!((count(&store).await, store.db.commit_mark()), ((2, 1), mark));
        written(&store, &by, &[("u3", "cy")]).await.expect("writes");
        assert_eq!(count(&store).await, (3, 2));
    }

    #[tokio::test]
    async fn it_waits_for_whoever_writes_and_they_for_it() {
        let (_folder, store, by) = store().await;
        let mut tx = store.db.write().await.expect("begins");
        execute!(&mut tx, "UPDATE scim_head SET change = change + 10").expect("writes");
        let waits = async {
            let done = written(&store, &by, &[("u1", "ada")]).await.expect("writes");
            assert_eq!((done.len(), count(&store).await), (1, (1, 11)));
        };
        let commits = async {
            tokio::task::yield_now().await;
            tx.commit().await.expect("commits");
        };
        futures::join!(waits, commits);
        let (one, other) = futures::join!(written(&store, &by, &[("u2", "bo")]), store.db.write());
        let (_, tx) = (one.expect("writes"), other.expect("begins"));
        drop(tx);
        assert_eq!(count(&store).await, (2, 12));
    }

    #[tokio::test]
    async fn nothing_is_written_any_more_when_the_store_is_closed_and_no_log_is_left() {
        let (folder, store, by) = store().await;
        written(&store, &by, &[("u1", "ada")]).await.expect("writes");
        let log = folder.path().join("store.db-wal");
        assert!(log.exists());
        store.close().await;
        assert!(!log.exists(), "what was written is in the file itself");
        assert!(written(&store, &by, &[("u2", "bo")]).await.is_err());
        assert!(!log.exists());
    }

    #[tokio::test]
    async fn a_store_whose_disk_was_full_is_written_to_when_there_is_room() {
        let (_folder, store, by) = store().await;
        let mut tx = store.db.write().await.expect("begins");
        execute!(&mut tx, "PRAGMA max_page_count = 1").expect("is set to what there is");
        tx.commit().await.expect("commits");
        let mut tx = store.db.write().await.expect("begins");
        let long = "x".repeat(10 << 20);
        let full = execute!(
            &mut tx,
            "INSERT INTO scim_deleted (system, kind, id, name, document, deleted_at) VALUES ('hr', 'User', 'u', 'u', $1, 0)",
            long.as_str()
        );
        assert!(full.is_err(), "{full:?}");
        drop(tx);
        for _ in 0..3 {
            let mut tx = store.db.write().await.expect("begins again");
            execute!(&mut tx, "UPDATE scim_head SET change = change + 1").expect("writes");
            tx.commit().await.expect("commits");
        }
        written(&store, &by, &[("u1", "ada")]).await.expect("writes");
        assert_eq!(count(&store).await, (1, 4));
    }
}

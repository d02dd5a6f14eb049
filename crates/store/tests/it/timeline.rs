//! What happened to one account or identity, from its intervals.

use leasehold_model::account::Account;
use leasehold_model::fact::Fact;
use leasehold_model::identity::{Identity, IdentityKind, LifecycleState, Unsaid};
use leasehold_model::plan::Verb;
use leasehold_store::{Change, Store, TimelineEntry};

use crate::common::*;

/// One line an entry: the minute, and what changed.
fn lines(entries: &[TimelineEntry]) -> Vec<String> {
    let text = |entry: &TimelineEntry| {
        let what = match &entry.change {
            Change::AccountCame(account) => format!("came enabled={}", account.enabled),
            Change::AccountChanged { before, after } => {
                format!("enabled {} to {}", before.enabled, after.enabled)
            }
            Change::AccountWent(_) => "went".to_owned(),
            Change::GrantCame(entitlement) => format!("+{entitlement}"),
            Change::GrantWent { entitlement, ended_by } => {
                format!("-{entitlement}{}", if ended_by.is_some() { " by us" } else { "" })
            }
            Change::IdentityCame(identity) => identity.state.as_str().to_owned(),
            Change::IdentityChanged { before, after } => {
                format!("{} to {}", before.state.as_str(), after.state.as_str())
            }
            Change::IdentityWent(_) => "not listed".to_owned(),
        };
        let minute = entry.at.duration_since(at(0)).as_mins();
        format!("{minute}{} {what}", if entry.first_reading { " first" } else { "" })
    };
    entries.iter().map(text).collect()
}

async fn of_ada(store: &Store) -> Vec<String> {
    lines(&store.account_timeline(&system("directory"), &"ada".into()).await.expect("reads"))
}

fn person(state: LifecycleState) -> Fact {
    Fact::Identity(Identity {
        key: "ada@example.com".into(),
        kind: IdentityKind::Person,
        state,
        start: None,
        end: None,
        manager: None,
        owner: None,
        attributes: Default::default(),
        unsaid: Unsaid::default(),
    })
}

on_both! {
    async fn an_account_shows_what_came_changed_and_went(fresh: &Fresh) {
        let store = &fresh.store;
        let groups = || vec![entitlement("staff"), entitlement("ops"), account("bo")];
        let held = |names: &[&str]| {
            let mut facts = groups();
            facts.push(account("ada"));
            facts.extend(names.iter().map(|name| grant("ada", name)));
            facts
        };
        sync(store, held(&["staff"]), complete(), 1).await;
        assert_eq!(of_ada(store).await, ["1 first came enabled=true", "1 first +group/staff"]);
        sync(store, held(&["staff", "ops"]), complete(), 2).await;
        // Read again without news: nothing is added.
        sync(store, held(&["staff", "ops"]), complete(), 3).await;
        // What a partial read does not show has not gone.
        sync(store, groups(), partial(), 4).await;
        read_back(store, Verb::Revoke, "ada", vec![absent("ada", "ops")], 5).await;
        let disabled = Fact::Account(Account { enabled: false, ..Account::new("ada", "ada") });
        let mut facts = groups();
        facts.extend([disabled, grant("ada", "staff")]);
        sync(store, facts, complete(), 6).await;
        sync(store, groups(), complete(), 7).await;
        sync(store, held(&[]), complete(), 8).await;
        assert_eq!(of_ada(store).await, [
            "8 came enabled=true",
            "7 went",
            "7 -group/staff",
            "6 enabled true to false",
            "5 -group/ops by us",
            "2 +group/ops",
            "1 first came enabled=true",
            "1 first +group/staff",
        ]);
        let nobody = store.account_timeline(&system("directory"), &"zed".into()).await.expect("reads");
        assert!(nobody.is_empty());
        let nowhere = store.account_timeline(&system("crm"), &"ada".into()).await.expect("reads");
        assert!(nowhere.is_empty());
    }

    async fn an_identity_shows_what_its_source_said(fresh: &Fresh) {
        let store = &fresh.store;
        let others = || vec![account("bo")];
        let with = |state| [others(), vec![person(state)]].concat();
        sync(store, others(), complete(), 1).await;
        sync(store, with(LifecycleState::Active), complete(), 2).await;
        sync(store, with(LifecycleState::Leaving), complete(), 3).await;
        sync(store, others(), complete(), 4).await;
        let entries =
            store.identity_timeline(&system("directory"), &"ada@example.com".into()).await.expect("reads");
        assert_eq!(lines(&entries), ["4 not listed", "3 active to leaving", "2 active"]);
        // Whoever is listed again has come back; a change of what is said of somebody is no return.
        assert!(store.snapshot(Some(at(3))).await.expect("reads").away.is_empty());
        sync(store, with(LifecycleState::Active), complete(), 5).await;
        let known = store.snapshot(None).await.expect("reads");
        assert_eq!(known.away.keys().collect::<Vec<_>>(), ["ada@example.com"]);
        let spelled = store.identity_timeline(&system("directory"), &"Ada@Example.com".into()).await.expect("reads");
        assert_eq!(lines(&spelled).len(), 4, "in whatever case it is asked for");
        assert!(store.snapshot(Some(at(4))).await.expect("reads").away.is_empty(), "not by then");
    }
}

//! Stories of what leavers had running by itself: which of the words about it counts, and what becomes of it where whoever takes it
//! over cannot.

use leasehold_model::account::Account;
use leasehold_model::clock::Clock as _;
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::decision::DriftKind;
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::LifecycleState;
use leasehold_model::plan::{Plan, Verb};
use leasehold_reconcile::workflow::steward::{self, Refusal, Word};

use crate::invariants;
use crate::lifecycle::person;
use crate::scene::Scene;
use crate::seeds::tell;
use crate::world::Story;

const KIM: &str = "kim@example.com";
const DANA: &str = "dana@example.com";
const DAY_MS: u64 = 86_400_000;

/// Kim has left, and what they had running in `alpha` is stopped. Dana is here.
async fn with_stopped_job(seed: u64, further: &str) -> Story {
    let mut story = Story::begin(Scene::drawn(seed)).await;
    if !further.is_empty() {
        let mut files = story.scene.policy.clone();
        files.insert("retention.toml".to_owned(), further.to_owned());
        story.apply_policy(files).await;
    }
    for who in [KIM, DANA] {
        story.world.join(person(who, "Ops", LifecycleState::Active)).expect("joins");
    }
    story.world.create_account("alpha", Account::new("uid-kim", "kim")).expect("an account");
    let job = Credential::new("job", "uid-kim", CredentialKind::ScheduledJob, "nightly report");
    story.world.create_credential("alpha", job).expect("a job");
    story.observe_all().await;
    story.world.leave(KIM, story.clock.now()).expect("leaves");
    story.observe_all().await;
    carry_out(&mut story).await;
    assert!(!job_of(&story).1, "it is stopped");
    story
}

/// Plans and applies, and gives what was done about the job.
async fn carry_out(story: &mut Story) -> Vec<Verb> {
    story.observe_all().await;
    let (drift, plan) = story.plan().await;
    invariants::plan_explains_drift(story, &drift, &plan);
    let overrides: Vec<String> = plan.guards.iter().map(|guard| guard.name.clone()).collect();
    story.apply(&plan, &overrides).await;
    about_job(&plan)
}

fn about_job(plan: &Plan) -> Vec<Verb> {
    let about = plan.items.iter().filter(|item| {
        item.credential.as_ref().is_some_and(|credential| credential.key.as_str() == "job")
            || (item.verb == Verb::DeleteAccount && item.account == "kim")
    });
    about.map(|item| item.verb).collect()
}

fn job_of(story: &Story) -> (String, bool) {
    let job = story.world.credential("alpha", &"job".into()).expect("it is there");
    (job.account.to_string(), job.active)
}

async fn say(story: &mut Story, word: Word) -> Result<IdentityKey, Refusal> {
    // No two words are said at the same instant.
    story.clock.advance_ms(1000);
    let (loaded, now) = (story.load().await, story.clock.now());
    steward::say(&story.store, &loaded, &KIM.into(), &word, "story", now).await
}

fn taken() -> Word {
    Word::TakeOver(DANA.into())
}

/// What was said last counts, in whichever order it was said.
#[test]
fn the_last_word_about_a_job_counts() {
    tell("the_last_word_about_a_job_counts", 24, |seed| async move {
        let mut story = with_stopped_job(seed, "").await;
        story.world.create_account("alpha", Account::new("uid-dana", "dana")).expect("an account");
        story.observe_all().await;
        let words: &[Word] = match seed % 6 {
            0 => &[Word::End],
            1 => &[taken()],
            2 => &[Word::End, taken()],
            3 => &[taken(), Word::End],
            4 => &[Word::End, taken(), Word::End],
            _ => &[taken(), Word::End, taken()],
        };
        for word in words {
            say(&mut story, word.clone()).await.expect("it counts");
        }
        if words.last() == Some(&Word::End) {
            let again = say(&mut story, Word::End).await;
            assert!(matches!(again, Err(Refusal::JobsEnd(_))), "{again:?}");
            assert_eq!(carry_out(&mut story).await, [Verb::RevokeCredential]);
            assert_eq!(story.world.credential("alpha", &"job".into()), None);
        } else {
            assert_eq!(carry_out(&mut story).await, [Verb::HandOverCredential]);
            assert_eq!(job_of(&story), ("uid-dana".to_owned(), true));
        }
    });
}

/// Whoever takes it over and cannot have it now is waited for; where they left, the time for which it is kept begins anew.
#[test]
fn a_job_waits_for_whoever_takes_it_over() {
    tell("a_job_waits_for_whoever_takes_it_over", 12, |seed| async move {
        let mut story = with_stopped_job(seed, "").await;
        say(&mut story, taken()).await.expect("they take it over");
        assert_eq!(carry_out(&mut story).await, [], "they have no account there");
        story.world.join(person(DANA, "Ops", LifecycleState::Suspended)).expect("is told");
        story.clock.advance_ms(40 * DAY_MS);
        assert_eq!(carry_out(&mut story).await, [], "they may come back");
        let (drift, _) = story.plan().await;
        let told = drift
            .iter()
            .find(|item| item.credential.as_ref().is_some_and(|found| found.key.as_str() == "job"));
        let told = told.expect("it is told");
        assert_eq!(told.kind, DriftKind::Ownerless);
        assert!(
            told.because[0].to_string().contains("dana@example.com takes it over and may hold no access now"),
            "{told:?}"
        );

        match seed % 2 {
            0 => {
                story.world.join(person(DANA, "Ops", LifecycleState::Active)).expect("comes back");
                story.world.create_account("alpha", Account::new("uid-dana", "dana")).expect("an account");
                assert_eq!(carry_out(&mut story).await, [Verb::HandOverCredential]);
            }
            _ => {
                story.world.leave(DANA, story.clock.now()).expect("leaves");
                assert_eq!(carry_out(&mut story).await, [], "somebody else may need it");
                story.clock.advance_ms(15 * DAY_MS);
                assert_eq!(carry_out(&mut story).await, [Verb::RevokeCredential]);
            }
        }
    });
}

/// A later change of what the feed says of the leaver takes no word back.
#[test]
fn what_is_said_of_a_leaver_later_takes_no_word_back() {
    tell("what_is_said_of_a_leaver_later_takes_no_word_back", 6, |seed| async move {
        let mut story = with_stopped_job(seed, "").await;
        let mut kim = person(KIM, "Ops", LifecycleState::Left);
        kim.end = None;
        story.world.join(kim.clone()).expect("is told");
        story.observe_all().await;
        say(&mut story, taken()).await.expect("they take it over");
        kim.attributes.insert("title".to_owned(), "Gone".to_owned());
        story.clock.advance_ms(DAY_MS);
        story.world.join(kim).expect("is told");
        story.world.create_account("alpha", Account::new("uid-dana", "dana")).expect("an account");
        assert_eq!(carry_out(&mut story).await, [Verb::HandOverCredential]);
    });
}

/// An account is not deleted while what it ran by itself is to be handed over: before that, or where it cannot be.
#[test]
fn an_account_is_not_deleted_before_its_job_is_handed_over() {
    let retention = "[retention.alpha]\ndelete_accounts_after = \"30d\"\n";
    tell("an_account_is_not_deleted_before_its_job_is_handed_over", 12, |seed| async move {
        let mut story = with_stopped_job(seed, retention).await;
        say(&mut story, taken()).await.expect("they take it over");
        story.clock.advance_ms(31 * DAY_MS);
        assert_eq!(carry_out(&mut story).await, [], "it cannot be handed over");
        let (_, plan) = story.plan().await;
        assert!(
            plan.left_alone.iter().any(|left| left.why.contains("the account is not deleted")),
            "{:#?}",
            plan.left_alone
        );
        story.world.create_account("alpha", Account::new("uid-dana", "dana")).expect("an account");
        story.observe_all().await;
        let (_, plan) = story.plan().await;
        let of = |verb: Verb| {
            plan.items.iter().find(|item| item.verb == verb && item.account == "kim").expect("planned")
        };
        assert_eq!(of(Verb::DeleteAccount).after, [of(Verb::HandOverCredential).id.clone()]);
        assert_eq!(carry_out(&mut story).await, [Verb::HandOverCredential, Verb::DeleteAccount]);
        assert_eq!(job_of(&story), ("uid-dana".to_owned(), true));
        assert_eq!(story.world.account("alpha", "uid-kim"), None);
    });
}

//! What several people feeds say of somebody over weeks: where they stand, since when, and whether what they were given before counts.

use std::collections::BTreeMap;

use leasehold_decide::evaluate::SystemSettings;
use leasehold_decide::evaluate::lifecycle::left_at;
use leasehold_decide::merge::Precedence;
use leasehold_model::Timestamp;
use leasehold_model::fact::{Completeness, Fact};
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_model::identity::{Identity, LifecycleState};
use leasehold_reconcile::stages::decide::Loaded;
use leasehold_store::Store;

use crate::scene::identity;
use crate::seeds::tell;
use crate::world::{empty_store, folder};

const KIM: &str = "kim@example.com";

fn day(number: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + number * 86_400).expect("an instant")
}

fn name(name: &str) -> SystemName {
    SystemName::new(name).expect("a name")
}

/// What a row says of Kim: `active from 3 until 9`, `listed` where the feed does not say where anybody stands, with days; a `K` before it
/// where it spells her key in capitals.
fn row(words: &str) -> Identity {
    let mut words = words.split(' ').peekable();
    let key = if words.next_if_eq(&"K").is_some() { KIM.to_uppercase() } else { KIM.to_owned() };
    let mut kim = identity(&key, "Ops");
    match words.next().expect("a status") {
        "listed" => kim.unsaid.state = true,
        status => kim.state = LifecycleState::parse(status).expect("a status"),
    }
    while let Some(word) = words.next() {
        let number = words.next().expect("a day").parse().expect("a day");
        match word {
            "from" => kim.start = Some(day(number)),
            "until" => kim.end = Some(day(number)),
            _ => panic!("{word}"),
        }
    }
    kim
}

async fn read(store: &Store, feed: &str, on: i64, of_kim: &str) {
    let mut facts = vec![Fact::Identity(identity("other@example.com", "Ops"))];
    facts.extend((of_kim != "-").then(|| Fact::Identity(row(of_kim))));
    let mut writer = store.begin_epoch(&name(feed), day(on)).await.expect("begins");
    writer.accept(facts).await.expect("takes facts");
    let complete = Completeness::Complete { evidence: "a test".to_owned() };
    writer.finish(complete, day(on)).await.expect("finishes");
}

/// Where she stands on a day, since when she has left, `old` where what she was given before counts, and what feeds disagree about.
async fn stands(store: &Store, settings: &BTreeMap<SystemName, SystemSettings>, on: i64) -> String {
    let loaded = Loaded::load_with(store, settings.clone(), day(on), None).await.expect("loads");
    let snapshot = &loaded.snapshot;
    let of_kim = |(_, identity): &(u32, Identity)| identity.key.folded() == KIM;
    let position = snapshot.identities.iter().position(of_kim).expect("is known");
    let kim = &snapshot.identities[position].1;
    let mut words = vec![snapshot.state_of(kim, day(on)).as_str().to_owned()];
    let position = u32::try_from(position).expect("few");
    let left_at = left_at(snapshot, position, kim, day(on));
    words.extend(left_at.map(|end| format!("{}", (end.as_second() - day(0).as_second()) / 86_400)));
    words.extend(snapshot.absence_of(&IdentityKey::from(KIM)).is_none().then(|| "old".to_owned()));
    let of_her = snapshot.identity_conflicts.iter();
    words.extend(of_her.map(|conflict| format!("!{}", conflict.attribute)));
    words.join(" ")
}

/// By name and precedence.
type Feeds = &'static [(&'static str, u32)];

#[test]
fn what_feeds_say_over_weeks_is_believed_as_of_its_time() {
    const HR_FIRST: Feeds = &[("agency", 20), ("hr", 10)];
    const ALIKE: Feeds = &[("agency", 10), ("hr", 10)];
    /// What is told on which day, and where she stands on which.
    type Story =
        (&'static str, Feeds, &'static [(i64, &'static str, &'static str)], &'static [(i64, &'static str)]);
    const STORIES: &[Story] = &[
        (
            "a feed that does not say where people stand keeps nobody here who left by another",
            ALIKE,
            &[(0, "agency", "listed"), (0, "hr", "active"), (2, "hr", "left")],
            &[(1, "active old"), (3, "left 2 old")],
        ),
        (
            "a feed that is not configured any more says nothing beside one that is",
            &[("hr", 100)],
            &[(0, "agency", "active"), (0, "hr", "active"), (3, "hr", "left")],
            &[(1, "active old"), (4, "left 3 old")],
        ),
        (
            "who is gone by one feed, which says so still, comes back by a better one",
            HR_FIRST,
            &[(0, "agency", "active"), (5, "agency", "left"), (35, "hr", "active")],
            &[(6, "left 5 old"), (36, "returned !status")],
        ),
        (
            "the last word of a feed that lists her no more was a leaving",
            HR_FIRST,
            &[(0, "agency", "active"), (5, "agency", "left"), (40, "agency", "-"), (41, "hr", "active")],
            &[(40, "left 5 old"), (42, "returned")],
        ),
        (
            "so was its last day",
            HR_FIRST,
            &[(0, "hr", "active"), (0, "agency", "active until 4"), (44, "agency", "-")],
            &[(3, "leaving old"), (6, "left 4 old !end_date"), (45, "returned")],
        ),
        (
            "and so it was where both are believed alike",
            ALIKE,
            &[(0, "hr", "active"), (0, "agency", "active"), (2, "agency", "left"), (35, "agency", "-")],
            &[(3, "left 2 old !status"), (36, "returned")],
        ),
        (
            "a key in another case is the same one",
            &[("hr", 10)],
            &[(0, "hr", "K active"), (2, "hr", "-"), (30, "hr", "active"), (31, "hr", "K active")],
            &[(1, "active old"), (3, "left 2 old"), (30, "returned"), (32, "returned")],
        ),
        (
            "a first day of a feed that is believed later puts nobody off who is here",
            HR_FIRST,
            &[(0, "hr", "active"), (0, "agency", "active"), (2, "agency", "active from 20")],
            &[(3, "active old !start_date")],
        ),
        (
            "who gets a contract with a better feed works on until it begins",
            HR_FIRST,
            &[(0, "agency", "active until 4"), (1, "hr", "active from 4"), (9, "agency", "-")],
            &[(2, "active old !start_date"), (5, "active old"), (10, "active old")],
        ),
        (
            "and is gone between both where there is time between them",
            HR_FIRST,
            &[(0, "agency", "active until 4"), (1, "hr", "active from 10")],
            &[(2, "leaving old !start_date"), (6, "pre_hire old"), (11, "returned old")],
        ),
        (
            "a first day that is told first is not denied by who lists her without one later",
            HR_FIRST,
            &[(0, "hr", "active from 10"), (1, "agency", "active")],
            &[(2, "pre_hire old"), (11, "active old")],
        ),
        (
            "who is hired by a better feed after a last day is here",
            HR_FIRST,
            &[(0, "agency", "active until 4"), (0, "hr", "-"), (6, "hr", "active")],
            &[(5, "left 4 old"), (7, "returned old")],
        ),
        (
            "that a last day of another feed has passed is shown beside who says nothing of one",
            HR_FIRST,
            &[(0, "hr", "active"), (0, "agency", "active"), (5, "agency", "active until 3")],
            &[(6, "left 3 old !end_date")],
        ),
        (
            "of several that are believed alike, who fell silent last says when she left",
            &[("agency", 10), ("directory", 20), ("hr", 10)],
            &[
                (0, "hr", "active"),
                (0, "agency", "active"),
                (0, "directory", "active"),
                (5, "hr", "-"),
                (20, "agency", "-"),
            ],
            &[(6, "active old"), (21, "left 20 old !status")],
        ),
        (
            "whose word did not count before another fell silent dates no leaving before that",
            ALIKE,
            &[(0, "hr", "left"), (0, "agency", "active"), (20, "agency", "-")],
            &[(6, "active old !status"), (21, "left 20 old")],
        ),
        (
            "nor does it where a third one lists her still, which is believed later",
            &[("agency", 10), ("directory", 20), ("hr", 10)],
            &[(0, "hr", "left"), (0, "agency", "active"), (0, "directory", "active"), (20, "agency", "-")],
            &[(6, "active old !status"), (21, "left 20 old !status")],
        ),
        (
            "who waits for a first day is not here yet",
            &[("hr", 10)],
            &[(0, "hr", "active"), (5, "hr", "left"), (8, "hr", "pre_hire from 32")],
            &[(9, "pre_hire"), (41, "returned")],
        ),
        (
            "nor where another feed tells it",
            HR_FIRST,
            &[
                (0, "agency", "active"),
                (5, "agency", "left"),
                (6, "agency", "-"),
                (8, "hr", "active from 32"),
            ],
            &[(9, "pre_hire"), (41, "returned")],
        ),
        (
            "a mistaken leaving takes back no last day that another feed knew of before",
            HR_FIRST,
            &[(0, "hr", "active"), (0, "agency", "active until 10"), (2, "hr", "left"), (3, "hr", "active")],
            &[(4, "leaving old"), (15, "left 10 old !end_date")],
        ),
        (
            "nor does a reading without her",
            HR_FIRST,
            &[(0, "hr", "active"), (0, "agency", "active until 10"), (2, "hr", "-"), (3, "hr", "active")],
            &[(4, "leaving old"), (15, "left 10 old !end_date")],
        ),
        (
            "a contract that was over long before dates no leaving by a better feed",
            HR_FIRST,
            &[(0, "agency", "active until 4"), (0, "hr", "-"), (6, "hr", "active"), (50, "hr", "left")],
            &[(7, "returned old"), (51, "left 50 old !status")],
        ),
        (
            "nor does a last day that was taken back",
            HR_FIRST,
            &[
                (0, "hr", "active"),
                (0, "agency", "active"),
                (1, "hr", "active until 30"),
                (2, "agency", "active until 20"),
                (3, "hr", "active"),
                (50, "hr", "left"),
            ],
            &[(25, "active old !end_date"), (51, "left 50 old !status !end_date")],
        ),
        (
            "who is announced by a better feed works on with the contract that they have",
            HR_FIRST,
            &[(0, "agency", "active"), (0, "hr", "-"), (2, "hr", "pre_hire from 20")],
            &[(3, "active old !status !start_date")],
        ),
        (
            "but who was gone by that feed is not here before its new first day",
            HR_FIRST,
            &[(0, "hr", "active"), (0, "agency", "active"), (5, "hr", "-"), (30, "hr", "active from 50")],
            &[(6, "left 5 old !status"), (31, "pre_hire"), (51, "returned")],
        ),
        (
            "nor where it said so",
            HR_FIRST,
            &[(0, "agency", "active"), (0, "hr", "active"), (5, "hr", "left"), (30, "hr", "active from 50")],
            &[(6, "left 5 old !status"), (31, "pre_hire"), (51, "returned")],
        ),
        (
            "a leaver stays one when the only feed that says where people stand lists them no more",
            ALIKE,
            &[
                (0, "hr", "active"),
                (0, "agency", "listed"),
                (2, "hr", "left"),
                (92, "hr", "-"),
                (150, "hr", "active"),
            ],
            &[(93, "left 2 old"), (151, "returned")],
        ),
        (
            "a first day that is told much later stretches no short absence",
            &[("hr", 10)],
            &[(0, "hr", "active"), (10, "hr", "-"), (11, "hr", "active"), (200, "hr", "active from 220")],
            &[(199, "returned old"), (221, "returned old")],
        ),
        (
            "whatever else is told of who waits, they wait",
            &[("hr", 10)],
            &[
                (0, "hr", "active"),
                (5, "hr", "left"),
                (8, "hr", "pre_hire from 32"),
                (20, "hr", "pre_hire from 32 until 900"),
            ],
            &[(21, "pre_hire"), (41, "leaving")],
        ),
        (
            "nor does what is told of them after they began",
            &[("hr", 10)],
            &[
                (0, "hr", "active"),
                (5, "hr", "left"),
                (8, "hr", "pre_hire from 32"),
                (33, "hr", "active from 32"),
                (60, "hr", "K active"),
            ],
            &[(32, "returned"), (34, "returned"), (61, "returned")],
        ),
        (
            "who had left is not here by another feed when the announcement changes",
            HR_FIRST,
            &[
                (0, "hr", "active"),
                (0, "agency", "active"),
                (5, "hr", "left"),
                (95, "hr", "pre_hire from 115"),
                (100, "hr", "pre_hire from 120"),
            ],
            &[
                (6, "left 5 old !status"),
                (96, "pre_hire !status"),
                (101, "pre_hire !status"),
                (121, "returned !status"),
            ],
        ),
        (
            "a last day that was taken back dates nothing when the feed lists them no more, either",
            HR_FIRST,
            &[
                (0, "hr", "active"),
                (0, "agency", "active"),
                (1, "hr", "active until 20"),
                (2, "agency", "active until 20"),
                (3, "hr", "active"),
                (50, "hr", "left"),
                (80, "hr", "-"),
            ],
            &[(51, "left 50 old !status !end_date"), (81, "left 50 old !status !end_date")],
        ),
        (
            "who was announced by both is not here when the other one is early",
            HR_FIRST,
            &[(0, "hr", "pre_hire from 20"), (0, "agency", "pre_hire"), (5, "agency", "active")],
            &[(6, "pre_hire old !status"), (21, "active old !status")],
        ),
        (
            "nor when only the better one puts them off",
            HR_FIRST,
            &[(0, "hr", "pre_hire from 4"), (0, "agency", "active from 4"), (2, "hr", "pre_hire from 28")],
            &[(6, "pre_hire old !status !start_date")],
        ),
        (
            "an announcement that is withdrawn ends nothing",
            HR_FIRST,
            &[(0, "agency", "active"), (0, "hr", "-"), (2, "hr", "pre_hire from 19"), (10, "hr", "-")],
            &[(3, "active old !status !start_date"), (11, "active old")],
        ),
        (
            "who is announced without a day begins when they are said to be here",
            HR_FIRST,
            &[(0, "agency", "active until 5"), (0, "hr", "-"), (2, "hr", "pre_hire"), (7, "hr", "active")],
            &[(3, "leaving old !status"), (8, "returned old")],
        ),
        (
            "a last day of a time that is over may be corrected",
            HR_FIRST,
            &[
                (0, "agency", "active until 4"),
                (0, "hr", "-"),
                (6, "hr", "active"),
                (30, "agency", "active until 5"),
            ],
            &[(31, "returned old")],
        ),
        (
            "where the ended contract is believed first, that others list them as here is shown",
            ALIKE,
            &[(0, "agency", "active until 4"), (0, "hr", "-"), (6, "hr", "active")],
            &[(7, "left 4 old !end_date")],
        ),
        (
            "of two with the same number the first by name is believed first, of a new contract, too",
            ALIKE,
            &[(0, "hr", "active until 4"), (0, "agency", "-"), (6, "agency", "active")],
            &[(7, "returned old")],
        ),
        (
            "but it takes back what another feed copied of it",
            HR_FIRST,
            &[
                (0, "hr", "active"),
                (0, "agency", "active"),
                (2, "hr", "left"),
                (3, "agency", "active until 2"),
                (4, "hr", "active"),
            ],
            &[(3, "left 2 old !status"), (5, "returned old !end_date")],
        ),
        (
            "a column for the status that is new says nothing of the time before",
            ALIKE,
            &[(0, "agency", "listed"), (0, "hr", "active"), (2, "hr", "left"), (30, "agency", "active")],
            &[(3, "left 2 old"), (31, "returned !status")],
        ),
        (
            "nor is one that is gone forgotten: who was believed to be here left when it went",
            ALIKE,
            &[(0, "agency", "active"), (0, "hr", "active"), (2, "hr", "left"), (30, "agency", "listed")],
            &[(3, "active old !status"), (31, "left 30 old")],
        ),
        (
            "a first day that nobody tells any more was one all the same",
            HR_FIRST,
            &[(0, "agency", "active until 4"), (1, "hr", "active from 14"), (20, "hr", "active")],
            &[(6, "pre_hire"), (15, "returned"), (21, "returned")],
        ),
        (
            "who was here by a new contract until that was told no more left then, and not when the old one ended",
            ALIKE,
            &[
                (0, "hr", "active until 4"),
                (0, "agency", "-"),
                (6, "agency", "active"),
                (50, "agency", "listed"),
            ],
            &[(7, "returned old"), (51, "left 50 old")],
        ),
        (
            "who had left one feed for good begins anew with another one",
            HR_FIRST,
            &[(0, "agency", "left until -90"), (0, "hr", "pre_hire from 20")],
            &[(1, "pre_hire !status"), (21, "returned !status")],
        ),
        (
            "a feed that is not configured any more keeps nobody here whom the others list no more",
            &[("hr", 100)],
            &[(0, "agency", "active"), (0, "hr", "active"), (5, "hr", "left"), (95, "hr", "-")],
            &[(6, "left 5 old"), (96, "left 5 old")],
        ),
        (
            "an announcement that is withdrawn brings nobody back who had left",
            HR_FIRST,
            &[
                (0, "hr", "active"),
                (0, "agency", "active"),
                (5, "hr", "left"),
                (30, "hr", "pre_hire from 50"),
                (35, "hr", "-"),
            ],
            &[(31, "pre_hire !status"), (36, "left 5 old !status")],
        ),
        (
            "nor does one keep somebody here who was listed as here before",
            HR_FIRST,
            &[(0, "hr", "active"), (0, "agency", "active"), (5, "hr", "active from 25"), (8, "hr", "-")],
            &[(6, "active old !start_date"), (9, "left 8 old !status")],
        ),
        (
            "each mistake takes back what was said of a last day during it, and no more",
            HR_FIRST,
            &[
                (0, "hr", "active"),
                (0, "agency", "active"),
                (2, "hr", "left"),
                (3, "hr", "active"),
                (10, "agency", "active until 30"),
                (15, "hr", "left"),
                (16, "hr", "active"),
            ],
            &[(17, "leaving old"), (31, "left 30 old !end_date")],
        ),
        (
            "however it was told",
            HR_FIRST,
            &[
                (0, "hr", "active"),
                (0, "agency", "active"),
                (2, "hr", "-"),
                (3, "hr", "active"),
                (10, "agency", "active until 30"),
                (15, "hr", "-"),
                (16, "hr", "active"),
            ],
            &[(17, "leaving old"), (31, "left 30 old !end_date")],
        ),
        (
            "a last day that was taken back says nothing of one that is told later",
            HR_FIRST,
            &[
                (0, "hr", "active"),
                (0, "agency", "active"),
                (1, "hr", "active until 20"),
                (3, "hr", "active"),
                (10, "agency", "active until 30"),
                (15, "hr", "left"),
                (16, "hr", "active"),
            ],
            &[(17, "leaving old !end_date"), (31, "left 30 old !end_date")],
        ),
        (
            "who is hired again by a feed that said that they had left begins anew",
            HR_FIRST,
            &[
                (0, "hr", "active"),
                (0, "agency", "active"),
                (5, "agency", "active until 30"),
                (10, "hr", "left"),
                (60, "hr", "active"),
            ],
            &[(11, "left 10 old !status"), (61, "returned")],
        ),
        (
            "whom nobody lists any more left when that was believed, and not by a word that was not",
            ALIKE,
            &[
                (0, "hr", "active"),
                (0, "agency", "active"),
                (5, "hr", "left"),
                (20, "agency", "-"),
                (30, "hr", "-"),
            ],
            &[(6, "active old !status"), (21, "left 20 old"), (31, "left 20 old")],
        ),
        (
            "nor where all fall silent at once",
            ALIKE,
            &[
                (0, "hr", "active"),
                (0, "agency", "active"),
                (5, "hr", "left"),
                (20, "agency", "left"),
                (110, "agency", "-"),
                (110, "hr", "-"),
            ],
            &[(21, "left 20 old"), (111, "left 20 old")],
        ),
        (
            "nor by an announcement that was withdrawn",
            HR_FIRST,
            &[
                (0, "agency", "active"),
                (0, "hr", "-"),
                (2, "hr", "pre_hire from 22"),
                (10, "hr", "-"),
                (50, "agency", "-"),
            ],
            &[(11, "active old"), (51, "left 50 old")],
        ),
        (
            "nor by the silence of a feed while another one listed them",
            ALIKE,
            &[(0, "hr", "active"), (0, "agency", "active"), (9, "agency", "-"), (63, "agency", "left")],
            &[(10, "active old"), (64, "left 63 old !status")],
        ),
        (
            "one more word for it moves no leaving",
            ALIKE,
            &[(0, "hr", "active"), (0, "agency", "-"), (54, "hr", "-"), (63, "agency", "left")],
            &[(55, "left 54 old"), (64, "left 54 old")],
        ),
        (
            "who had left by all when they were read first left on the last day that is known",
            HR_FIRST,
            &[(0, "agency", "active until -30"), (1, "hr", "left")],
            &[(2, "left -30 old !status")],
        ),
        (
            "nor does the silence of a feed after the last day that another one told",
            HR_FIRST,
            &[
                (0, "hr", "active"),
                (0, "agency", "active"),
                (24, "agency", "active until 35"),
                (57, "hr", "-"),
                (87, "hr", "active"),
            ],
            &[(48, "left 35 old !end_date"), (58, "left 35 old !status !end_date"), (88, "returned")],
        ),
        (
            "nor does an announcement that became none",
            HR_FIRST,
            &[
                (0, "hr", "active"),
                (0, "agency", "active"),
                (5, "hr", "left"),
                (30, "hr", "pre_hire"),
                (35, "hr", "left"),
            ],
            &[(31, "pre_hire !status"), (36, "left 5 old !status")],
        ),
        (
            "who was only announced has left nothing when they are announced anew",
            &[("hr", 10)],
            &[(0, "hr", "pre_hire from 20"), (5, "hr", "-"), (30, "hr", "active")],
            &[(31, "active old")],
        ),
        (
            "nor when another feed hires them",
            HR_FIRST,
            &[(0, "agency", "-"), (0, "hr", "pre_hire from 20"), (5, "hr", "-"), (30, "agency", "active")],
            &[(31, "active old")],
        ),
        (
            "what two feeds said when both were read first tells no order: who is believed first says when they begin",
            HR_FIRST,
            &[(0, "agency", "active"), (0, "hr", "pre_hire from 20")],
            &[(1, "pre_hire old !status"), (21, "active old !status")],
        ),
        (
            "whatever they are called, and whichever was read first",
            &[("hr", 10), ("zagency", 20)],
            &[(0, "hr", "pre_hire from 20"), (0, "zagency", "active")],
            &[(1, "pre_hire old !status"), (21, "active old !status")],
        ),
    ];
    tell("what_feeds_say_over_weeks_is_believed_as_of_its_time", 1, |_| async {
        let mut wrong = Vec::new();
        for (what, feeds, told, expected) in STORIES {
            let folder = folder();
            let store = empty_store(&folder.path().join("feeds.db")).await;
            let settings: BTreeMap<SystemName, SystemSettings> = feeds
                .iter()
                .map(|(feed, general)| {
                    let precedence = Precedence { general: *general, of_attribute: BTreeMap::new() };
                    (
                        name(feed),
                        SystemSettings { authoritative: true, precedence, ..SystemSettings::default() },
                    )
                })
                .collect();
            let mut words = told.iter().peekable();
            for (on, expected) in *expected {
                while let Some((on, feed, of_kim)) = words.next_if(|(told_on, _, _)| told_on <= on) {
                    read(&store, feed, *on, of_kim).await;
                }
                let found = stands(&store, &settings, *on).await;
                if found != *expected {
                    wrong.push(format!("{what}, day {on}: {found}, and not {expected}"));
                }
            }
            store.close().await;
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

//! Several people feeds about the same people: whose word counts, in which order however it came, and what their silence says.

use leasehold_connect::simulated::Company;
use leasehold_model::identity::{IdentityKind, LifecycleState};

use crate::installation::Installation;

const KIM: &str = "kim@example.com";

/// Feeds with their settings, and what stands in their files: about Kim, and about eleven others who stay.
struct Feeds {
    installation: Installation,
}

impl Feeds {
    fn new(feeds: &[(&str, &str)], further: &str) -> Self {
        let installation = Installation::new();
        let system = |(name, settings): &(&str, &str)| {
            format!(
                "[system.{name}]\nconnector = \"csv\"\npath = \"{name}.csv\"\nkey = \"email\"\n{settings}\n\n"
            )
        };
        let configuration: String = feeds.iter().map(system).collect();
        installation.write("leasehold.toml", &(configuration + further));
        Self { installation }
    }

    /// Has a feed say this of Kim (`department,status,end_date`), or not list her, and reads it.
    fn tell(&mut self, feed: &str, of_kim: Option<&str>) {
        let mut file = "email,department,status,end_date\n".to_owned();
        file.extend(of_kim.map(|of_kim| format!("{KIM},{of_kim}\n")));
        file.extend((0..11).map(|number| format!("p{number}@example.com,Ops,active,\n")));
        self.installation.write(&format!("{feed}.csv"), &file);
        self.installation.run(&["sync", feed]).expect(0);
    }

    fn explain(&mut self) -> String {
        self.installation.run(&["explain", KIM]).stdout
    }
}

/// After each word: the feed, what it says of Kim, and where she stands.
type Told = (&'static str, Option<&'static str>, &'static str);

#[test]
fn whose_word_counts_and_whose_silence() {
    const NOT_LISTED: Option<&str> = None;
    const HERE: Option<&str> = Some("Ops,active,");
    const ENDS: Option<&str> = Some("Ops,active,2099-11-30");
    const ENDED: Option<&str> = Some("Ops,active,2021-11-30");
    const LEFT: Option<&str> = Some("Ops,left,2021-11-30");
    const LEFT_THEN: &str = "left at 2021-12-01T00:00:00Z";
    const LEAVES: &str = "leaving at 2099-12-01T00:00:00Z";
    let stories: &[(&str, [&str; 3], &[Told])] = &[
        (
            "a gap in a feed that says nothing of leaving takes no last day of another back",
            ["", "", ""],
            &[
                ("directory", HERE, "active"),
                ("hr", ENDS, LEAVES),
                ("directory", NOT_LISTED, LEAVES),
                ("directory", HERE, LEAVES),
                ("hr", ENDED, LEFT_THEN),
                ("directory", NOT_LISTED, LEFT_THEN),
                ("directory", HERE, LEFT_THEN),
            ],
        ),
        (
            "one in the feed that is believed first takes back what was told since, and nothing before",
            ["precedence = 10", "precedence = 20", ""],
            &[
                ("directory", ENDED, LEFT_THEN),
                ("hr", HERE, LEFT_THEN),
                ("hr", NOT_LISTED, "left at"),
                ("hr", HERE, LEFT_THEN),
                ("directory", HERE, "returned"),
                ("hr", NOT_LISTED, "left at"),
                ("directory", ENDED, "left at"),
                ("hr", HERE, "returned"),
            ],
        ),
        (
            "a last day that is told again after a gap is no new one",
            ["precedence = 10", "precedence = 20", ""],
            &[
                ("hr", ENDS, LEAVES),
                ("directory", ENDED, LEAVES),
                ("hr", HERE, "active"),
                ("directory", NOT_LISTED, "active"),
                ("directory", ENDED, "active"),
            ],
        ),
        (
            "of several last days, what was taken back stays so when a third feed tells a new one",
            ["precedence = 10", "precedence = 20", "precedence = 30"],
            &[
                ("hr", ENDS, LEAVES),
                ("directory", ENDED, LEAVES),
                ("agency", HERE, LEAVES),
                ("hr", HERE, "active"),
                ("agency", ENDS, LEAVES),
                ("hr", ENDED, LEFT_THEN),
                ("hr", HERE, "returned"),
            ],
        ),
        (
            "who is not believed sends nobody away, and so nobody comes back",
            ["precedence = 10", "precedence = 20", ""],
            &[
                ("hr", HERE, "active"),
                ("directory", Some("Ops,left,"), "active"),
                ("directory", HERE, "active"),
                ("directory", NOT_LISTED, "active"),
                ("directory", HERE, "active"),
                ("hr", LEFT, LEFT_THEN),
                ("hr", HERE, "returned"),
            ],
        ),
        (
            "who has left has left then, whoever lists them last",
            ["precedence = 10", "precedence = 20", ""],
            &[
                ("hr", HERE, "active"),
                ("directory", HERE, "active"),
                ("hr", LEFT, LEFT_THEN),
                ("hr", NOT_LISTED, LEFT_THEN),
                ("directory", NOT_LISTED, LEFT_THEN),
            ],
        ),
    ];
    for (what, settings, words) in stories {
        let names = ["hr", "directory", "agency"];
        let with_settings: Vec<_> = names.into_iter().zip(*settings).collect();
        let mut feeds = Feeds::new(&with_settings, "");
        for (step, (feed, of_kim, expected)) in words.iter().enumerate() {
            feeds.tell(feed, *of_kim);
            let explained = feeds.explain();
            let stands = explained.lines().next().unwrap_or_default();
            let is_it = stands.contains(&format!("person, {expected}"));
            assert!(is_it, "{what}, step {step}: {feed} says {of_kim:?}: {expected} is not in\n{explained}");
        }
    }
}

/// What a feed says when it is read first is history; not where another one had listed these people as here: it may be wrong, and waits.
#[test]
fn a_new_feed_that_says_that_many_left_waits_for_a_person() {
    let (mut installation, _) = crate::offboard::company();
    let people = Company::generate(11, 120).state.people;
    let keys = |state: LifecycleState| {
        let of_state = people.values().filter(move |identity| {
            let is_here = identity.end.is_none() || state == LifecycleState::Left;
            identity.kind == IdentityKind::Person && identity.state == state && is_here
        });
        of_state.map(|identity| identity.key.to_string()).take(15)
    };
    let configuration = installation.read("leasehold.toml");
    for (number, (state, is_news)) in
        [(LifecycleState::Active, true), (LifecycleState::Left, false)].into_iter().enumerate()
    {
        let corp = format!(
            "\n[system.corp{number}]\nconnector = \"csv\"\npath = \"corp.csv\"\nauthoritative = true\nkey = \"email\"\nprecedence = 1\n"
        );
        installation.write("leasehold.toml", &(configuration.clone() + &corp));
        let left: String = keys(state).map(|key| format!("{key},left\n")).collect();
        installation.write("corp.csv", &("email,status\n".to_owned() + &left));
        installation.run(&["sync", &format!("corp{number}")]).expect(0);
        let plan = installation.run(&["plan", "--json"]).json();
        let guards = plan["guards"].as_array().expect("guards");
        let name = format!("mass_departure:corp{number}");
        assert_eq!(guards.iter().any(|guard| guard["name"] == *name), is_news, "{state:?}: {guards:#?}");
    }
}

/// What movers keep follows what was believed of them, not what one feed said.
#[test]
fn a_hand_over_is_for_who_moved_by_what_is_believed() {
    let crm = "[system.crm]\nconnector = \"csv\"\naccounts = \"accounts.csv\"\ngrants = \"grants.csv\"\n\
               correlate = [\"login = email.local\"]\n";
    let (eng, ops, sales) = (Some("Eng,active,"), Some("Ops,active,"), Some("Sales,active,"));
    for (of_hr, of_directory, expected) in [
        // Only the directory is believed about departments.
        ([eng, eng], [eng, ops], "hand-over of eng"),
        ([eng, sales], [ops, ops], ""),
    ] {
        let directory = "precedence = 20\nprecedence_of = { department = 1 }";
        let mut feeds = Feeds::new(&[("hr", "precedence = 10"), ("directory", directory)], crm);
        feeds.installation.write("accounts.csv", "key,login\n1,kim\n");
        feeds.installation.write("grants.csv", "account,entitlement\n1,role/eng\n");
        feeds.installation.write(
            "policy/roles.toml",
            "[role.eng]\nowner = \"p0@example.com\"\nmembers = 'principal.department == \"Eng\"'\n\
             grants = [\"crm:role/eng\"]\nhand_over = \"14d\"\n",
        );
        feeds.tell("hr", of_hr[0]);
        feeds.tell("directory", of_directory[0]);
        feeds.installation.run(&["sync", "crm"]).expect(0);
        feeds.installation.run(&["policy", "apply"]).expect(0);
        feeds.tell("hr", of_hr[1]);
        feeds.tell("directory", of_directory[1]);
        let explained = feeds.explain();
        let is_kept = explained.contains("hand-over of eng");
        assert_eq!(is_kept, !expected.is_empty(), "{of_hr:?} {of_directory:?}: {explained}");
    }
}

/// A departure that is to come takes nothing before: a role that asks where somebody stands asks what the source says.
#[test]
fn a_departure_to_come_takes_nothing_before() {
    let crm = "[system.crm]\nconnector = \"csv\"\naccounts = \"accounts.csv\"\ngrants = \"grants.csv\"\n\
               correlate = [\"login = email.local\"]\n";
    let mut feeds = Feeds::new(&[("hr", "")], crm);
    feeds.installation.write("accounts.csv", "key,login\n1,kim\n");
    feeds.installation.write("grants.csv", "account,entitlement\n1,role/eng\n");
    feeds.installation.write(
        "policy/roles.toml",
        "[role.eng]\nowner = \"p0@example.com\"\nmembers = 'principal.state == \"active\"'\ngrants = [\"crm:role/eng\"]\n",
    );
    feeds.tell("hr", Some("Eng,active,"));
    feeds.installation.run(&["sync", "crm"]).expect(0);
    feeds.installation.run(&["policy", "apply"]).expect(0);
    feeds.installation.run(&["offboard", KIM, "--at", "2099-11-30"]).expect(0);
    let explained = feeds.explain();
    for words in ["leaving at 2099-12-01", "role eng"] {
        assert!(explained.contains(words), "{words}: {explained}");
    }
    assert!(!explained.contains("unjustified"), "{explained}");
}

/// A day that cannot be read, and a column that is lost, bring nobody back, and let nobody in: what was told before counts on, until the
/// feed says that there is none, or a person does.
#[test]
fn a_day_that_cannot_be_read_changes_nothing() {
    let mut installation = Installation::new();
    installation.write(
        "leasehold.toml",
        "[system.hr]\nconnector = \"csv\"\npath = \"hr.csv\"\nauthoritative = true\nkey = \"email\"\n",
    );
    let (begins, gone) = ("pre hire until 2099-01-10T00:00:00Z", "left at 2021-12-01T00:00:00Z");
    for (header, of_kim, of_lee, accepted, expected) in [
        ("start_date,end_date", ",2021-11-30", "2099-01-10,", false, [gone, begins]),
        ("start_date,end_date", ",2021-11-31", "soon,", false, [gone, begins]),
        ("start_date,end_date", ",NULL", "0000-00-00,", false, [gone, begins]),
        ("first_day,last_day", ",2021-11-30", "2099-01-10,", false, [gone, begins]),
        ("first_day,last_day", ",2021-11-30", "2099-01-10,", true, ["returned", "active"]),
        ("start_date,end_date", ",2021-11-30", "2099-01-10,", false, [gone, begins]),
        ("start_date,end_date", ",", ",", false, ["returned", "active"]),
    ] {
        let file = format!("email,{header}\n{KIM},{of_kim}\nlee@example.com,{of_lee}\np1@example.com,,\n");
        installation.write("hr.csv", &file);
        let accept: &[&str] = if accepted { &["--accept-loss"] } else { &[] };
        installation.run(&[&["sync", "hr"], accept].concat()).expect(0);
        for (who, expected) in [KIM, "lee@example.com"].into_iter().zip(expected) {
            let explained = installation.run(&["explain", who]).stdout;
            assert!(explained.contains(&format!("person, {expected}")), "{file} {expected}: {explained}");
        }
    }
}

/// Who is new and begins on a day that nobody can read has not begun, until the feed or a person says more. Who was there before, or when
/// the feed was read first, is.
#[test]
fn who_joins_on_a_day_that_cannot_be_read_waits() {
    let mut installation = Installation::new();
    installation.write(
        "leasehold.toml",
        "[system.hr]\nconnector = \"csv\"\npath = \"hr.csv\"\nauthoritative = true\nkey = \"email\"\n",
    );
    for (of_lee, of_kim, accepted, expected) in [
        (None, "soon", false, ["is no identity", "active"]),
        (Some("2027-02-31"), "soon", false, ["pre hire", "active"]),
        (Some("2027-02-31"), "2020-01-01", false, ["pre hire", "active"]),
        (Some("2020-01-01"), "later", false, ["active", "active"]),
        (Some("later"), "later", false, ["active", "active"]),
        (Some("later"), "later", true, ["active", "active"]),
    ] {
        let lee = of_lee.map_or_else(String::new, |of_lee| format!("lee@example.com,active,{of_lee}\n"));
        let rest: String = (0..9).map(|number| format!("p{number}@example.com,active,\n")).collect();
        installation.write("hr.csv", &format!("email,status,start_date\n{KIM},active,{of_kim}\n{lee}{rest}"));
        let accept: &[&str] = if accepted { &["--accept-loss"] } else { &[] };
        installation.run(&[&["sync", "hr"], accept].concat()).expect(0);
        for (who, expected) in ["lee@example.com", KIM].into_iter().zip(expected) {
            if of_lee.is_some() || who == KIM {
                let explained = installation.run(&["explain", who]).stdout;
                assert!(
                    explained.contains(&format!("person, {expected}")),
                    "{of_lee:?} {expected}: {explained}"
                );
            }
        }
    }
}

/// Who is still called a pre-hire after their first day is here, also for a role that asks for that.
#[test]
fn a_source_that_is_late_keeps_nobody_out() {
    let crm = "[system.hr]\nconnector = \"csv\"\npath = \"hr.csv\"\nauthoritative = true\nkey = \"email\"\n\n\
               [system.crm]\nconnector = \"csv\"\naccounts = \"accounts.csv\"\ngrants = \"grants.csv\"\n\
               correlate = [\"login = email.local\"]\n";
    let mut installation = Installation::new();
    for (file, text) in [
        ("leasehold.toml", crm),
        ("accounts.csv", "key,login\n1,kim\n"),
        ("grants.csv", "account,entitlement\n1,role/eng\n"),
        (
            "policy/roles.toml",
            "[role.eng]\nowner = \"lee@example.com\"\nmembers = 'principal.state == \"active\"'\ngrants = [\"crm:role/eng\"]\n",
        ),
    ] {
        installation.write(file, text);
    }
    for (begins, expected) in [("2099-01-01", "unjustified"), ("2020-01-01", "role eng")] {
        let people = format!("email,status,start_date\n{KIM},pre_hire,{begins}\nlee@example.com,active,\n");
        installation.write("hr.csv", &people);
        installation.run(&["sync"]).expect(0);
        installation.run(&["policy", "apply"]).expect(0);
        let explained = installation.run(&["explain", KIM]).stdout;
        assert!(explained.contains(expected), "{begins}: {explained}");
    }
}

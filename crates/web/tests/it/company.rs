//! The practice company behind a server: its systems read by the real loop, its policy live, and trouble in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_connect::simulated::{Company, World};
use leasehold_decide::correlate::CorrelationRule;
use leasehold_decide::merge::Precedence;
use leasehold_decide::policy;
use leasehold_model::clock::ManualClock;
use leasehold_model::id::SystemName;
use leasehold_model::plan::Plan;
use leasehold_reconcile::live::View;
use leasehold_reconcile::system::{Enforce, INTERVAL_MS_DEFAULT, System, Systems};
use leasehold_store::User;

use crate::support::{Answer, Browser, Installation};

/// How accounts of each system find their identities.
const CORRELATE: [(&str, &[&str]); 5] = [
    ("directory", &["mail = email", "employeeNumber = employee_number"]),
    ("ledger-db", &["login = email.local"]),
    ("cloud", &["login = email", "created_by = email"]),
    ("crm", &["login = email"]),
    ("vpn", &["login = email.local"]),
];

/// A company and the server over it.
pub struct Office {
    pub installation: Installation,
    pub world: Arc<World>,
    pub company: Company,
}

impl Office {
    /// A company of which nothing was read yet, with an administrator.
    pub async fn unread() -> Self {
        let company = Company::generate(7, 400);
        let world = World::of(company.state.clone());
        let clock = Arc::new(ManualClock::at(company.state.as_of));
        world.set_clock(clock.clone());
        let feed = [("hr", &[][..])];
        let systems: Systems =
            CORRELATE.into_iter().chain(feed).map(|(name, rules)| system(&world, name, rules)).collect();
        let installation = Installation::over("http://127.0.0.1:8420", systems, clock).await;
        installation.make_administrator().await;
        Self { installation, world, company }
    }

    /// The same, read for the first time: nobody has said yet why any of it is there.
    pub async fn first_contact() -> Self {
        let office = Self::unread().await;
        office.installation.driver.start().await.expect("starts");
        office.turn().await;
        office
    }

    /// A company that was read, with its policy live.
    pub async fn open() -> Self {
        let office = Self::unread().await;
        let files: BTreeMap<String, String> = office.company.policy_files().into_iter().collect();
        let read = policy::read::read(&files).unwrap_or_else(|all| panic!("the policy: {all:?}"));
        let installation = &office.installation;
        installation
            .store
            .apply_policy(files, &read.digest, "test", installation.now())
            .await
            .expect("a policy");
        installation.driver.start().await.expect("starts");
        office.turn().await;
        assert!(office.view().drift().len() > 50, "there is enough to fill more than one page");
        office
    }

    /// Lets the loop do everything that is due or was asked for.
    pub async fn turn(&self) {
        self.installation.driver.turn().await.expect("a turn");
    }

    /// The present state.
    pub fn view(&self) -> Arc<View> {
        self.installation.live.view().expect("a state")
    }

    /// A browser of a new user with these roles.
    pub async fn browser_of(&self, mail: &str, roles: &[&str]) -> Browser {
        let user: User = self.installation.make_user(mail, roles).await;
        self.installation.browser_of(&user).await
    }

    /// The plan that was saved last.
    pub async fn latest_plan(&self) -> Plan {
        self.installation.store.latest_plan().await.expect("reads").expect("a plan")
    }

    /// Has everything planned, and gives the plan and its page's address.
    pub async fn plan_everything(&self, browser: &mut Browser) -> (Plan, String) {
        let answer = browser.submit("/drift", "/plans", &[("which", "all")]).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        let plan = self.latest_plan().await;
        assert_eq!(answer.location(), format!("/plans/{}", plan.hash));
        (plan, answer.location().to_owned())
    }
}

fn system(world: &Arc<World>, name: &str, rules: &[&str]) -> (SystemName, System) {
    let system = System {
        name: SystemName::new(name).expect("a name"),
        connector_kind: "simulated".to_owned(),
        connector: Arc::new(world.connector(name).expect("a connector")),
        correlate: rules.iter().map(|rule| CorrelationRule::parse(rule).expect("a rule")).collect(),
        new_account_login: None,
        precedence: Precedence::default(),
        authoritative: rules.is_empty(),
        enforce: Enforce::Propose.into(),
        interval_ms: INTERVAL_MS_DEFAULT,
        connector_login: None,
    };
    (system.name.clone(), system)
}

/// The text of a page as people read it, without what only machines read.
pub fn text_of(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut within = false;
    for c in html.chars() {
        match c {
            '<' => {
                within = true;
                text.push(' ');
            }
            '>' => within = false,
            c if !within => text.push(c),
            _ => {}
        }
    }
    let plain = text
        .replace("&#38;", "&")
        .replace("&#39;", "'")
        .replace("&#34;", "\"")
        .replace("&#60;", "<")
        .replace("&#62;", ">");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every value of an attribute in a page, where the element has the text before it.
pub fn values<'html>(html: &'html str, before: &str) -> Vec<&'html str> {
    let parts = html.split(before).skip(1);
    parts.filter_map(|part| part.split('"').next()).collect()
}

impl Browser {
    /// Sends a form that a page has, with that page's token.
    pub async fn submit(&mut self, page: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.csrf(page).await;
        let mut all = vec![("csrf", token.as_str())];
        all.extend_from_slice(fields);
        self.post(path, &all).await
    }
}

//! The practice company behind a server: every system read, its policy live, its state evaluated.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_connect::simulated::{Company, Planted, World};
use leasehold_decide::correlate::CorrelationRule;
use leasehold_decide::merge::Precedence;
use leasehold_decide::policy::read::read;
use leasehold_ledger::checkpoint::SigningKey;
use leasehold_model::clock::ManualClock;
use leasehold_model::decision::DriftKind;
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_reconcile::publisher::Publisher;
use leasehold_reconcile::stages::observe::{Observe, observe};
use leasehold_reconcile::system::{Enforce, INTERVAL_MS_DEFAULT, System, Systems};
use leasehold_reconcile::view::View;

use crate::support::{Answer, Browser, Installation};

/// The company, and the server that governs it.
pub struct Practice {
    pub installation: Installation,
    pub world: Arc<World>,
    pub systems: Systems,
    pub planted: Vec<Planted>,
}

impl Practice {
    /// A company of sixty, read once. `dana@example.com` administers Leasehold and is nobody in the company.
    pub async fn new() -> Self {
        Self::owned(BTreeMap::new()).await
    }

    /// The same with owners of systems.
    pub async fn owned(owners: BTreeMap<SystemName, Vec<IdentityKey>>) -> Self {
        let company = Company::generate(7, 60);
        let world = World::of(company.state.clone());
        let clock = Arc::new(ManualClock::at(company.state.as_of));
        let systems = systems(&company, &world);
        let folder = tempfile::tempdir().expect("a folder");
        let key = Arc::new(SigningKey::generate("leasehold.test").expect("a key"));
        let url = "http://127.0.0.1:8420";
        let installation =
            Installation::governing(url, folder, systems.clone(), clock, owners, Some(key)).await;
        world.set_clock(installation.clock.clone());
        let practice = Self { installation, world, systems, planted: company.planted.clone() };
        practice.read_all().await;
        let files: BTreeMap<String, String> = company
            .policy_files()
            .into_iter()
            .map(|(path, text)| (path.trim_start_matches("policy/").to_owned(), text))
            .collect();
        let policy = read(&files).unwrap_or_else(|all| panic!("the policy: {all:?}"));
        let Installation { store, .. } = &practice.installation;
        let now = practice.installation.now();
        store.apply_policy(files, &policy.digest, "dana@example.com", now).await.expect("a policy");
        practice.refresh().await;
        practice.installation.make_administrator().await;
        practice
    }

    /// Reads every system, the source of identities first.
    pub async fn read_all(&self) {
        for system in self.systems.values().filter(|system| system.authoritative) {
            self.read(system).await;
        }
        for system in self.systems.values().filter(|system| !system.authoritative) {
            self.read(system).await;
        }
    }

    async fn read(&self, system: &System) {
        let Installation { store, clock, .. } = &self.installation;
        clock.advance_ms(1_000);
        observe(store, system, &**clock, Observe::default(), &mut |_, _, _| {}).await.expect("an epoch");
    }

    /// Brings the state up to date.
    pub async fn refresh(&self) {
        self.installation.live.refresh().await.expect("a state");
    }

    /// The present state.
    pub fn view(&self) -> Arc<View> {
        self.installation.live.view().expect("a state")
    }

    /// Publishes the ledger, and gives who did.
    pub async fn publish(&self) -> &Publisher {
        let publisher = self.installation.publisher.as_ref().expect("a publisher");
        publisher.publish().await.expect("publishes");
        publisher
    }

    /// The first identity that this kind of trouble was planted on.
    pub fn troubled(&self, kind: DriftKind) -> String {
        let of_kind = self.planted.iter().filter(|planted| planted.kind == kind);
        of_kind
            .filter_map(|planted| planted.identity.as_ref())
            .next()
            .expect("somebody like this")
            .to_string()
    }
}

fn systems(company: &Company, world: &Arc<World>) -> Systems {
    let configuration: toml::Table = toml::from_str(&company.configuration()).expect("a configuration");
    let tables = configuration["system"].as_table().expect("systems");
    let system = |(name, table): (&String, &toml::Value)| {
        let rules = table.get("correlate").and_then(toml::Value::as_array).into_iter().flatten();
        let name = SystemName::new(name.as_str()).expect("a name");
        let system = System {
            name: name.clone(),
            connector_kind: "simulated".to_owned(),
            connector: Arc::new(world.connector(name.as_str()).expect("a connector")),
            correlate: rules
                .map(|rule| CorrelationRule::parse(rule.as_str().expect("text")).expect("a rule"))
                .collect(),
            new_account_login: None,
            precedence: Precedence::default(),
            authoritative: table.get("authoritative").is_some(),
            enforce: Enforce::Propose.into(),
            interval_ms: INTERVAL_MS_DEFAULT,
            connector_login: None,
        };
        (name, system)
    };
    tables.iter().map(system).collect()
}

/// The text of a page without its markup, with single spaces.
pub fn words(answer: &Answer) -> String {
    let mut text = String::new();
    let main = answer.text.split_once("<main").map_or(answer.text.as_str(), |(_, main)| main);
    let main = main.split_once('>').map_or(main, |(_, rest)| rest);
    let mut in_tag = false;
    for c in main.chars() {
        match c {
            '<' => in_tag = true,
            '>' => {
                in_tag = false;
                text.push(' ');
            }
            c if !in_tag => text.push(c),
            _ => {}
        }
    }
    let text = text.replace("&#38;", "&").replace("&#39;", "'").replace("&#34;", "\"");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A form of the page, sent with its token and these fields.
pub async fn send(browser: &mut Browser, page: &str, to: &str, fields: &[(&str, &str)]) -> Answer {
    let csrf = browser.csrf(page).await;
    let mut all = vec![("csrf", csrf.as_str())];
    all.extend_from_slice(fields);
    browser.post(to, &all).await
}

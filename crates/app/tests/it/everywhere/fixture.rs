//! Every target started, and an installation of Leasehold that reads them all.

use std::collections::BTreeSet;
use std::panic::resume_unwind;

use serde_json::{Value, json};

use super::outcome::Outcome;
use super::target::{AGENT, Target};
use super::{aws, mariadb, openbao, openldap, postgres, samba, scim, ssh};
use crate::installation::Installation;

/// Who leaves.
pub const LEAVER_KEY: &str = "lee@example.com";

/// Who takes over what the leaver answers for.
pub const SUCCESSOR_KEY: &str = "dana@example.com";

/// The command that offboards the leaver.
pub const OFFBOARD: &[&str] = &["offboard", LEAVER_KEY, "--successor", SUCCESSOR_KEY, "--json"];

/// An emergency in which nobody looks at the clock: what a test shows must not depend on how fast the machine is.
pub const NOW: &[&str] = &["--now", "--within", "3600"];

const PEOPLE: &str = "\
email,employee_number,given_name,family_name,title,department,manager,owner,kind,status,start_date,end_date
dana@example.com,1,Dana,Field,Engineer,Payments,ravi@example.com,,person,active,2020-01-01,
lee@example.com,2,Lee,Moor,Engineer,Payments,ravi@example.com,,person,active,2020-01-01,
mia@example.com,3,Mia,Brook,Engineer,Payments,ravi@example.com,,person,active,2020-01-01,
ravi@example.com,4,Ravi,Hill,Head of Payments,Management,,,person,active,2020-01-01,
reports@example.com,,,,,,,lee@example.com,service,active,2024-01-01,
";

/// The targets, all running.
pub struct Everywhere {
    pub targets: Vec<Box<dyn Target>>,
}

impl Everywhere {
    /// Starts every server at the same time, with everybody but the leaver in it.
    pub fn start() -> Self {
        let starters: [fn() -> Box<dyn Target>; 8] = [
            || Box::new(openldap::Directory::start()),
            || Box::new(samba::Domain::start()),
            || Box::new(postgres::Database::start()),
            || Box::new(mariadb::Shop::start()),
            || Box::new(aws::Cloud::start()),
            || Box::new(openbao::Vault::start()),
            || Box::new(ssh::Host::start()),
            || Box::new(scim::Application::start()),
        ];
        let targets = std::thread::scope(|scope| {
            let starting: Vec<_> = starters.into_iter().map(|start| scope.spawn(start)).collect();
            starting.into_iter().map(|started| started.join().expect("starts")).collect()
        });
        Self { targets }
    }

    /// Does something with every target at the same time, and gives what came of each.
    pub fn each<R: Send>(&mut self, act: impl Fn(&mut dyn Target) -> R + Sync) -> Vec<R> {
        self.each_numbered(|_, target| act(target))
    }

    /// The same, with the number of each.
    pub fn each_numbered<R: Send>(&mut self, act: impl Fn(usize, &mut dyn Target) -> R + Sync) -> Vec<R> {
        let act = &act;
        std::thread::scope(|scope| {
            let targets = self.targets.iter_mut().enumerate();
            let acting: Vec<_> =
                targets.map(|(number, target)| scope.spawn(move || act(number, target.as_mut()))).collect();
            acting
                .into_iter()
                .map(|acted| acted.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        })
    }

    /// Gives the leaver everything in every target, and makes an installation that has read them all and has the policy applied.
    pub fn install(&mut self) -> Installation {
        self.each(|target| target.give());
        let mut installation = Installation::new();
        installation.write("people.csv", PEOPLE);
        installation.write("policy/all.toml", &self.policy());
        installation.write("leasehold.toml", &self.configuration(&[]));
        installation.run(&["sync"]).expect(0);
        installation.run(&["policy", "apply"]).expect(0);
        installation
    }

    /// Gives the leaver everything anew, as if nobody had decided that they leave.
    pub fn take_back(&mut self, installation: &mut Installation) {
        self.each(|target| target.give());
        installation.run(&["offboard", LEAVER_KEY, "--cancel"]).expect(0);
        installation.run(&["sync"]).expect(0);
    }

    /// Offboards the leaver. Something is outstanding always: that of which nobody can look whether it is gone.
    pub fn offboard(installation: &mut Installation, more: &[&str]) -> Outcome {
        Outcome { document: installation.run(&[OFFBOARD, more].concat()).expect(2).json() }
    }

    /// Demands that nothing is left anywhere but what nobody can end, and that nothing else is outstanding.
    pub fn check_all_gone(&mut self, outcome: &Outcome) {
        self.each(|target| {
            let left = target.left();
            outcome.check_all_gone(target, &left);
        });
    }

    /// The configuration; with some of the targets there is less patience, in milliseconds for each answer.
    pub fn configuration(&self, impatient: &[(usize, u32)]) -> String {
        self.configuration_with(|index, _| {
            let of_target = impatient.iter().filter(|(impatient, _)| *impatient == index);
            of_target.map(|(_, timeout_ms)| format!("timeout_ms = {timeout_ms}\n")).collect()
        })
    }

    /// The configuration, with something added to each target's table.
    pub fn configuration_with(&self, added: impl Fn(usize, &dyn Target) -> String) -> String {
        let mut text =
            "[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\nkey = \"email\"\n".to_owned();
        for (index, target) in self.targets.iter().enumerate() {
            let added = added(index, target.as_ref());
            text += &format!("\n[system.{}]\n{}{added}", target.name(), target.settings());
        }
        text
    }

    /// One role gives its members everything; the agent is declared with its owner.
    fn policy(&self) -> String {
        let mut grants = Vec::new();
        let mut accounts = Vec::new();
        for target in &self.targets {
            let named = |what: String| format!("{}:{what}", target.name());
            grants.extend(target.entitlements().into_iter().map(named));
            accounts.extend(target.agent().map(named));
        }
        format!(
            "[role.payments]\nowner = \"ravi@example.com\"\n\
             members = 'principal.kind == \"person\" && principal.department == \"Payments\"'\ngrants = {}\n\n\
             [identity.{AGENT}]\nkind = \"agent\"\nowner = \"{LEAVER_KEY}\"\naccounts = {}\n",
            json!(grants),
            json!(accounts)
        )
    }
}

/// What is wrong with everybody else's access, by Leasehold's own word.
pub fn drift_of_others(installation: &mut Installation) -> BTreeSet<String> {
    let drift = installation.run(&["drift", "--json"]).json();
    let items = drift["items"].as_array().expect("items").clone();
    let of_others = items.into_iter().filter(|item| item["identity"] != LEAVER_KEY);
    let named =
        |item: Value| json!([item["kind"], item["system"], item["account"], item["entitlement"]]).to_string();
    of_others.map(named).collect()
}

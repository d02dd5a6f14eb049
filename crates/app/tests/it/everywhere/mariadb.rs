//! MariaDB: a user, a role that carries another one, an event that the server runs as the user, a live session of the client.

use std::collections::BTreeSet;
use std::process::Child;

use leasehold_testing::{Lie, MariadbServer, Proxy};

use super::target::{FirstCredential, LEAVER, Left, OTHERS, Target, address_of, password};

const OWN: &str = "leasehold";

pub struct Shop {
    server: MariadbServer,
    proxy: Proxy,
    session: Option<Child>,
    other_session: Child,
}

fn user(login: &str) -> String {
    format!(
        "create user {login}@'127.0.0.1' identified by '{}'; grant orders_rw to {login}@'127.0.0.1';
         set default role orders_rw for {login}@'127.0.0.1'; grant select on app.notes to {login}@'127.0.0.1';
         create or replace definer = {login}@'127.0.0.1' event app.{login}_report on schedule every 1 hour do delete from notes;",
        password(login)
    )
}

fn event(login: &str) -> String {
    format!("event app.{login}_report")
}

impl Shop {
    pub fn start() -> Self {
        let server = MariadbServer::start();
        server.sql(&format!(
            "create database app; create table app.orders (id int); create table app.notes (id int);
             create role orders_read; create role orders_rw; create role treasury;
             grant select on app.orders to orders_read; grant insert on app.orders to orders_rw;
             grant orders_read to orders_rw;
             create user {OWN}@'127.0.0.1' identified by '{}';
             grant select on mysql.* to {OWN}@'127.0.0.1';
             grant process, create user, connection admin, event, set user on *.* to {OWN}@'127.0.0.1';
             grant orders_rw to {OWN}@'127.0.0.1' with admin option;
             grant treasury to {OWN}@'127.0.0.1' with admin option;
             grant select on app.* to {OWN}@'127.0.0.1' with grant option;",
            password(OWN)
        ));
        server.sql(&OTHERS.map(user).concat());
        std::fs::write(server.folder().join("own"), password(OWN)).expect("write the password");
        let other_session = server.live_session(OTHERS[0], &password(OTHERS[0]));
        let address = address_of(&format!("mariadb://127.0.0.1:{}", server.port()));
        let proxy = Proxy::start_lying(address, Lie::Mariadb);
        Self { server, proxy, session: None, other_session }
    }

    fn holds(&self, login: &str, role: &str) -> bool {
        let direct =
            format!("select count(*) from mysql.roles_mapping where User = '{login}' and Role = '{role}'");
        self.server.sql(&direct) != "0"
    }

    fn reads(&self, login: &str, table: &str) -> bool {
        self.server.sql_as(login, &password(login), &format!("select count(*) from app.{table}")).is_ok()
    }

    fn may_read_notes(&self, login: &str) -> bool {
        self.server.sql(&format!("select count(*) from mysql.tables_priv where User = '{login}'")) != "0"
    }

    fn is_run_for(&self, login: &str) -> bool {
        let running = format!(
            "select count(*) from mysql.event where definer = '{login}@127.0.0.1' and name = '{login}_report' and status = 'ENABLED'"
        );
        self.server.sql(&running) == "1"
    }

    fn sessions(&self, login: &str) -> String {
        self.server
            .sql(&format!("select count(*) from information_schema.processlist where user = '{login}'"))
    }
}

impl Target for Shop {
    fn name(&self) -> &'static str {
        "shop"
    }

    fn settings(&self) -> String {
        format!(
            "connector = \"mariadb\"\nurl = \"mariadb://{OWN}@{}\"\npassword = \"file:{}\"\n\
             sslmode = \"disable\"\ncorrelate = [\"login = email.local\"]\n",
            self.proxy.address(),
            self.server.folder().join("own").display()
        )
    }

    fn entitlements(&self) -> Vec<String> {
        vec!["role/orders_rw".to_owned(), "privilege/SELECT on app.notes".to_owned()]
    }

    fn other_entitlements(&self) -> Vec<String> {
        vec!["role/treasury".to_owned()]
    }

    fn new_accounts(&self) -> String {
        "new_account_login = \"email.local\"\nnew_account_host = \"127.0.0.1\"\n".to_owned()
    }

    fn held(&mut self, login: &str) -> Option<BTreeSet<String>> {
        if self.server.sql(&format!("select count(*) from mysql.user where User = '{login}'")) == "0" {
            return None;
        }
        let roles = ["orders_rw", "treasury"].into_iter();
        let mut held: BTreeSet<String> =
            roles.filter(|role| self.holds(login, role)).map(|role| format!("role/{role}")).collect();
        held.extend(self.may_read_notes(login).then(|| "privilege/SELECT on app.notes".to_owned()));
        Some(held)
    }

    fn lets_in(&mut self, login: &str, first: Option<&FirstCredential>) -> bool {
        first.is_some_and(|first| self.server.sql_as(login, &first.secret, "select 1").is_ok())
    }

    fn proxy(&mut self) -> &mut Proxy {
        &mut self.proxy
    }

    fn give(&mut self) {
        super::end(&mut self.session);
        self.server.sql(&format!(
            "kill connection user {LEAVER}; drop user if exists {LEAVER}@'127.0.0.1'; {}",
            user(LEAVER)
        ));
        self.session = Some(self.server.live_session(LEAVER, &password(LEAVER)));
    }

    fn left(&mut self) -> Vec<Left> {
        let mut left = Vec::new();
        if self.server.sql_as(LEAVER, &password(LEAVER), "select 1").is_ok() {
            left.push(Left::LogIn);
        }
        if self.holds(LEAVER, "orders_rw") {
            left.push(Left::Entitlement("role/orders_rw".to_owned()));
        }
        if self.holds(LEAVER, "orders_rw") || self.holds(LEAVER, "orders_read") {
            left.push(Left::Entitlement("role/orders_read".to_owned()));
        }
        if self.may_read_notes(LEAVER) {
            left.push(Left::Entitlement("privilege/SELECT on app.notes".to_owned()));
        }
        if self.is_run_for(LEAVER) {
            left.push(Left::Job(event(LEAVER)));
        }
        if self.sessions(LEAVER) != "0" {
            left.push(Left::Session);
        }
        left
    }

    fn allow_hand_over(&mut self) {
        self.server.sql(&format!("grant event on app.* to {}@'127.0.0.1'", OTHERS[0]));
    }

    fn is_handed_over(&mut self) -> Option<bool> {
        let running =
            format!("select definer from mysql.event where name = '{LEAVER}_report' and status = 'ENABLED'");
        Some(self.server.sql(&running) == format!("{}@127.0.0.1", OTHERS[0]))
    }

    fn check_others_unchanged(&mut self) {
        for login in OTHERS {
            assert!(self.reads(login, "orders") && self.reads(login, "notes"), "{login} logs in and reads");
            assert!(
                self.holds(login, "orders_rw") && self.may_read_notes(login),
                "{login} holds what they held"
            );
            assert!(self.is_run_for(login), "the event of {login} goes on");
        }
        assert_ne!(self.sessions(OTHERS[0]), "0", "{} works on", OTHERS[0]);
        assert!(self.other_session.try_wait().expect("look at the client").is_none());
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        super::end(&mut self.session);
        let _ = (self.other_session.kill(), self.other_session.wait());
    }
}

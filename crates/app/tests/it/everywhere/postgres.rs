//! PostgreSQL: a login role that the host lets in although its `VALID UNTIL` is past, a role that carries another one, a live
//! `psql`; and the service account.

use std::collections::BTreeSet;
use std::process::Child;

use leasehold_testing::{Lie, PostgresServer, Proxy};

use super::target::{FirstCredential, LEAVER, Left, OTHERS, SERVICE, Target, address_of, password};

const OWN: &str = "leasehold";

pub struct Database {
    server: PostgresServer,
    proxy: Proxy,
    session: Option<Child>,
    other_session: Child,
}

/// A login with the roles of everybody. Leasehold's own role grants them, as a superuser's grants are not its to take.
fn login(login: &str) -> String {
    format!(
        "set role {OWN}; create role {login} login password '{}'; grant payments_rw, wiki to {login}; reset role;",
        password(login)
    )
}

impl Database {
    pub fn start() -> Self {
        let server = PostgresServer::start();
        server.sql(&format!(
            "create role {OWN} login createrole password '{}';
             grant pg_signal_backend, pg_read_all_stats to {OWN};
             create table payment (id int, amount int);
             create role payments_read; create role payments_rw; create role wiki; create role treasury;
             grant select on payment to payments_read; grant insert on payment to payments_rw;
             grant payments_read to payments_rw;
             grant payments_read, payments_rw, wiki, treasury to {OWN} with admin option;",
            password(OWN)
        ));
        server.sql(&(OTHERS.map(login).concat() + &login(SERVICE)));
        std::fs::write(server.folder().join("own"), password(OWN)).expect("write the password");
        server.let_in_without_password(LEAVER);
        let other_session = server.live_session(OTHERS[0], &password(OTHERS[0]));
        let address = address_of(&format!("postgres://127.0.0.1:{}", server.port()));
        let proxy = Proxy::start_lying(address, Lie::Postgres);
        Self { server, proxy, session: None, other_session }
    }

    fn holds(&self, login: &str, role: &str) -> bool {
        self.server.sql(&format!("select pg_has_role('{login}', '{role}', 'member')")) == "t"
    }

    fn selects(&self, login: &str) -> bool {
        self.server.sql_as(login, &password(login), "postgres", "select count(*) from payment").is_ok()
    }

    fn sessions(&self, login: &str) -> String {
        self.server.sql(&format!("select count(*) from pg_stat_activity where usename = '{login}'"))
    }
}

impl Target for Database {
    fn name(&self) -> &'static str {
        "database"
    }

    fn settings(&self) -> String {
        format!(
            "connector = \"postgres\"\nurl = \"postgres://{OWN}@{}/postgres\"\npassword = \"file:{}\"\n\
             sslmode = \"disable\"\ncorrelate = [\"login = email.local\"]\n",
            self.proxy.address(),
            self.server.folder().join("own").display()
        )
    }

    fn entitlements(&self) -> Vec<String> {
        vec!["role/payments_rw".to_owned(), "role/wiki".to_owned()]
    }

    fn other_entitlements(&self) -> Vec<String> {
        vec!["role/treasury".to_owned()]
    }

    fn held(&mut self, login: &str) -> Option<BTreeSet<String>> {
        if self.server.sql(&format!("select count(*) from pg_roles where rolname = '{login}'")) == "0" {
            return None;
        }
        let roles = ["payments_rw", "wiki", "treasury"].into_iter();
        Some(roles.filter(|role| self.holds(login, role)).map(|role| format!("role/{role}")).collect())
    }

    fn lets_in(&mut self, login: &str, first: Option<&FirstCredential>) -> bool {
        let enters = |password: &str| self.server.sql_as(login, password, "postgres", "select 1").is_ok();
        first.is_some_and(|first| enters(&first.secret))
    }

    fn proxy(&mut self) -> &mut Proxy {
        &mut self.proxy
    }

    fn give(&mut self) {
        super::end(&mut self.session);
        self.server.sql(&format!(
            "select pg_terminate_backend(pid, 20000) from pg_stat_activity where usename = '{LEAVER}';
             drop role if exists {LEAVER}; {} alter role {LEAVER} valid until '2020-01-01';",
            login(LEAVER)
        ));
        self.session = Some(self.server.live_session(LEAVER, &password(LEAVER)));
    }

    fn left(&mut self) -> Vec<Left> {
        let mut left = Vec::new();
        if self.server.sql_as(LEAVER, &password(LEAVER), "postgres", "select 1").is_ok() {
            left.push(Left::LogIn);
        }
        for role in ["payments_rw", "payments_read", "wiki"] {
            if self.holds(LEAVER, role) {
                left.push(Left::Entitlement(format!("role/{role}")));
            }
        }
        if self.sessions(LEAVER) != "0" {
            left.push(Left::Session);
        }
        left
    }

    fn check_others_unchanged(&mut self) {
        for login in OTHERS.into_iter().chain([SERVICE]) {
            assert!(self.selects(login), "{login} logs in and reads");
            for role in ["payments_rw", "payments_read", "wiki"] {
                assert!(self.holds(login, role), "{login} holds {role}");
            }
        }
        assert_ne!(self.sessions(OTHERS[0]), "0", "{} works on", OTHERS[0]);
        assert!(self.other_session.try_wait().expect("look at psql").is_none());
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        super::end(&mut self.session);
        let _ = (self.other_session.kill(), self.other_session.wait());
    }
}

//! Active Directory: a user, a group, and a group that the group is in; and a connection that stays.

use std::collections::BTreeSet;

use leasehold_testing::samba::LiveConnection;
use leasehold_testing::{Proxy, SambaServer, samba};

use super::target::{FirstCredential, LEAVER, Left, OTHERS, Target, address_of, mail, password};

pub struct Domain {
    // Closed before the server ends.
    session: Option<LiveConnection>,
    server: SambaServer,
    proxy: Proxy,
}

fn dn(name: &str) -> String {
    format!("CN={name},CN=Users,{}", samba::BASE)
}

/// By what somebody logs in.
fn upn(login: &str) -> String {
    format!("{login}@ad.example.com")
}

/// Says which members a group gets.
fn joins(group: &str, login: &str) -> String {
    format!("dn: {}\nchangetype: modify\nadd: member\nmember: {}\n\n", dn(group), dn(login))
}

impl Domain {
    pub fn start() -> Self {
        let server = SambaServer::start();
        for group in ["payments", "engineering", "treasury"] {
            server.add(&format!("dn: {}\nobjectClass: group\nsAMAccountName: {group}\n\n", dn(group)));
        }
        // Whoever is in payments is in engineering.
        server.modify(&joins("engineering", "payments"));
        let proxy = Proxy::start_lying(address_of(&server.tls_url()), server.lie());
        let domain = Self { session: None, server, proxy };
        for login in OTHERS {
            domain.add_user(login);
        }
        domain
    }

    fn add_user(&self, login: &str) {
        self.server.add_user(login, &password(login), &format!("mail: {}\n", mail(login)));
        self.server.modify(&joins("payments", login));
    }

    fn can_bind(&self, login: &str) -> bool {
        self.server.can_bind(&upn(login), &password(login))
    }

    /// Whether somebody is in a group on any path, by the directory's own reckoning.
    fn is_member(&self, login: &str, group: &str) -> bool {
        let chain = format!("(&(sAMAccountName={login})(memberOf:1.2.840.113556.1.4.1941:={}))", dn(group));
        !self.server.values(samba::BASE, &chain, "sAMAccountName").is_empty()
    }
}

impl Target for Domain {
    fn name(&self) -> &'static str {
        "domain"
    }

    fn settings(&self) -> String {
        format!(
            "connector = \"ldap\"\nurl = \"ldaps://{}\"\nca_certificate = \"{}\"\nbase_dn = \"{}\"\nbind_dn = \"{}\"\n\
             password = \"file:{}\"\ncorrelate = [\"mail = email\"]\n",
            self.proxy.address(),
            self.server.authority().certificate().display(),
            samba::BASE,
            samba::ADMIN,
            self.server.password_file().display()
        )
    }

    fn entitlements(&self) -> Vec<String> {
        vec!["group/payments".to_owned()]
    }

    fn other_entitlements(&self) -> Vec<String> {
        vec!["group/treasury".to_owned()]
    }

    fn new_accounts(&self) -> String {
        format!("new_account_login = \"email.local\"\nnew_account_base = \"CN=Users,{}\"\n", samba::BASE)
    }

    fn held(&mut self, login: &str) -> Option<BTreeSet<String>> {
        let found = self.server.values(samba::BASE, &format!("(sAMAccountName={login})"), "cn");
        let groups = ["payments", "treasury"].into_iter();
        let held = groups.filter(|group| self.is_member(login, group)).map(|group| format!("group/{group}"));
        (!found.is_empty()).then(|| held.collect())
    }

    fn lets_in(&mut self, login: &str, first: Option<&FirstCredential>) -> bool {
        // It has to be changed at the first log-in, which a bind is none of. That it was is said here.
        let changed =
            format!("dn: {}\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: -1\n\n", dn(login));
        self.server.modify(&changed);
        first.is_some_and(|first| self.server.can_bind(&upn(login), &first.secret))
    }

    fn proxy(&mut self) -> &mut Proxy {
        &mut self.proxy
    }

    fn give(&mut self) {
        self.session = None;
        if !self.server.values(samba::BASE, &format!("(sAMAccountName={LEAVER})"), "cn").is_empty() {
            self.server.modify(&format!("dn: {}\nchangetype: delete\n", dn(LEAVER)));
        }
        self.add_user(LEAVER);
        self.session = Some(self.server.live_connection(&upn(LEAVER), &password(LEAVER)));
    }

    fn left(&mut self) -> Vec<Left> {
        let mut left = Vec::new();
        if self.can_bind(LEAVER) {
            left.push(Left::LogIn);
        }
        for group in ["payments", "engineering"] {
            if self.is_member(LEAVER, group) {
                left.push(Left::Entitlement(format!("group/{group}")));
            }
        }
        if self.session.as_mut().is_some_and(LiveConnection::is_answered) {
            left.push(Left::Session);
        }
        left
    }

    fn residual(&self) -> Vec<Left> {
        // Active Directory lists no connections and ends none by itself.
        vec![Left::Session]
    }

    fn check_others_unchanged(&mut self) {
        for login in OTHERS {
            assert!(self.can_bind(login), "{login} logs in");
            for group in ["payments", "engineering"] {
                assert!(self.is_member(login, group), "{login} is in {group}");
            }
        }
    }
}

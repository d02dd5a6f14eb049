//! OpenLDAP: a person's entry, a group, and a group that the group is in.

use std::collections::BTreeSet;
use std::process::Child;

use leasehold_testing::{OpenLdapServer, Proxy, openldap};

use super::target::{FirstCredential, LEAVER, Left, OTHERS, Target, address_of, mail, password};

pub struct Directory {
    server: OpenLdapServer,
    proxy: Proxy,
    session: Option<Child>,
}

fn dn(login: &str) -> String {
    format!("uid={login},ou=people,{}", openldap::BASE)
}

fn nobody() -> String {
    format!("cn=nobody,{}", openldap::BASE)
}

fn person(login: &str) -> String {
    format!(
        "dn: {}\nobjectClass: inetOrgPerson\nuid: {login}\ncn: {login}\nsn: {login}\nmail: {}\nuserPassword: {}\n\n",
        dn(login),
        mail(login),
        password(login)
    )
}

fn group(name: &str, members: &[String]) -> String {
    let members: String = members.iter().map(|member| format!("member: {member}\n")).collect();
    format!("dn: cn={name},ou=groups,{}\nobjectClass: groupOfNames\ncn: {name}\n{members}\n", openldap::BASE)
}

impl Directory {
    pub fn start() -> Self {
        let server = OpenLdapServer::start();
        server.add(&OTHERS.map(person).concat());
        let others = OTHERS.map(dn);
        server.add(&group("payments", &others));
        server.add(&group("wiki", &others));
        // Whoever is in payments is in engineering.
        server.add(&group("engineering", &[format!("cn=payments,ou=groups,{}", openldap::BASE)]));
        // A group of this class has to have somebody in it.
        server.add(&group("treasury", &[nobody()]));
        let proxy = Proxy::start_lying(address_of(&server.tls_url()), server.lie());
        Self { server, proxy, session: None }
    }

    fn is_member(&self, login: &str, group: &str) -> bool {
        let base = format!("ou=groups,{}", openldap::BASE);
        self.server.values(&base, &format!("(cn={group})"), "member").contains(&dn(login))
    }

    /// Whether a connection that the leaver opened is still bound as them.
    fn is_connected(&self) -> bool {
        self.server.connected().iter().any(|who| who.eq_ignore_ascii_case(&dn(LEAVER)))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        super::end(&mut self.session);
    }
}

impl Target for Directory {
    fn name(&self) -> &'static str {
        "directory"
    }

    fn settings(&self) -> String {
        format!(
            "connector = \"ldap\"\nurl = \"ldaps://{}\"\nca_certificate = \"{}\"\nbase_dn = \"{}\"\nbind_dn = \"{}\"\n\
             password = \"file:{}\"\nplaceholder_member = \"{}\"\ncorrelate = [\"mail = email\"]\n",
            self.proxy.address(),
            self.server.authority().certificate().display(),
            openldap::BASE,
            openldap::CONNECTOR,
            self.server.password_file().display(),
            nobody()
        )
    }

    fn new_accounts(&self) -> String {
        format!("new_account_login = \"email.local\"\nnew_account_base = \"ou=people,{}\"\n", openldap::BASE)
    }

    fn entitlements(&self) -> Vec<String> {
        vec!["group/payments".to_owned(), "group/wiki".to_owned()]
    }

    fn other_entitlements(&self) -> Vec<String> {
        vec!["group/treasury".to_owned()]
    }

    fn held(&mut self, login: &str) -> Option<BTreeSet<String>> {
        let found = self.server.values(openldap::BASE, &format!("(uid={login})"), "uid");
        let groups = ["payments", "wiki", "treasury"].into_iter();
        let held = groups.filter(|group| self.is_member(login, group)).map(|group| format!("group/{group}"));
        (!found.is_empty()).then(|| held.collect())
    }

    fn lets_in(&mut self, login: &str, first: Option<&FirstCredential>) -> bool {
        first.is_some_and(|first| self.server.can_bind(&dn(login), &first.secret))
    }

    fn proxy(&mut self) -> &mut Proxy {
        &mut self.proxy
    }

    fn give(&mut self) {
        super::end(&mut self.session);
        if self.server.values(openldap::BASE, &format!("(uid={LEAVER})"), "uid").len() == 1 {
            self.server.modify(&format!("dn: {}\nchangetype: delete\n", dn(LEAVER)));
        }
        self.server.add(&person(LEAVER));
        for group in ["payments", "wiki"] {
            self.server.modify(&format!(
                "dn: cn={group},ou=groups,{}\nchangetype: modify\nadd: member\nmember: {}\n",
                openldap::BASE,
                dn(LEAVER)
            ));
        }
        self.session = Some(self.server.live_session(&dn(LEAVER), &password(LEAVER)));
    }

    fn left(&mut self) -> Vec<Left> {
        let mut left = Vec::new();
        if self.server.can_bind(&dn(LEAVER), &password(LEAVER)) {
            left.push(Left::LogIn);
        }
        for group in ["payments", "wiki"] {
            if self.is_member(LEAVER, group) {
                left.push(Left::Entitlement(format!("group/{group}")));
            }
        }
        if self.is_member(LEAVER, "engineering") || self.is_member(LEAVER, "payments") {
            left.push(Left::Entitlement("group/engineering".to_owned()));
        }
        if self.is_connected() {
            left.push(Left::Session);
        }
        left
    }

    fn residual(&self) -> Vec<Left> {
        // A bound connection outlives everything in slapd.
        vec![Left::Session]
    }

    fn check_others_unchanged(&mut self) {
        for login in OTHERS {
            assert!(self.server.can_bind(&dn(login), &password(login)), "{login} logs in");
            assert!(
                self.is_member(login, "payments") && self.is_member(login, "wiki"),
                "{login} is a member"
            );
        }
        let base = format!("ou=groups,{}", openldap::BASE);
        let nested = self.server.values(&base, "(cn=engineering)", "member");
        assert_eq!(nested, [format!("cn=payments,ou=groups,{}", openldap::BASE)]);
    }
}

//! The `mariadb` connector against a real server, checked with the server's own client.

mod accounts;
mod changes;
pub mod contract;
mod enumeration;
mod events;
mod failures;
mod issuing;

use std::collections::{BTreeMap, BTreeSet};

use leasehold_connect::connector::Connector;
use leasehold_model::account::Account;
use leasehold_model::entitlement::{DirectGrant, Entitlement};
use leasehold_model::fact::Fact;
use leasehold_model::request::AccountTarget;
use leasehold_testing::MariadbServer;

use crate::harness::build;
use crate::support::collect;

/// A connector that logs in as root.
pub fn connector(server: &MariadbServer) -> Box<dyn Connector> {
    connector_with(server, "")
}

/// The same with further settings.
pub fn connector_with(server: &MariadbServer, more: &str) -> Box<dyn Connector> {
    let (url, password) = (server.url("root"), server.password_file());
    build("mariadb", &format!("url = '{url}'\npassword = 'file:{}'\n{more}", password.display()))
}

/// A connector that logs in as somebody whose password is the login and `pw`.
pub fn connector_as(server: &MariadbServer, login: &str) -> Box<dyn Connector> {
    let path = server.folder().join(format!("{login}.password"));
    std::fs::write(&path, format!("{login}pw")).expect("write the password file");
    build("mariadb", &format!("url = '{}'\npassword = 'file:{}'", server.url(login), path.display()))
}

/// An account by its key; its login is the user.
pub fn account(key: &str) -> AccountTarget {
    let login = key.rsplit_once('@').expect("user@host").0;
    AccountTarget { key: key.into(), login: login.to_owned() }
}

/// What one enumeration told. Several accounts have one login here, so they are found by their keys.
#[derive(Default)]
pub struct Told {
    pub accounts: BTreeMap<String, Account>,
    pub entitlements: BTreeMap<String, Entitlement>,
    pub grants: Vec<DirectGrant>,
    pub containments: BTreeSet<(String, String)>,
}

/// Enumerates, and insists on a proof.
pub async fn complete(connector: &dyn Connector) -> Told {
    let (collected, ended) = collect(connector).await;
    let completeness = ended.expect("enumerates");
    assert!(completeness.is_complete(), "{completeness:?}");
    let mut told = Told::default();
    for fact in collected.facts {
        match fact {
            Fact::Account(account) => drop(told.accounts.insert(account.key.to_string(), account)),
            Fact::Entitlement(entitlement) => {
                drop(told.entitlements.insert(entitlement.name.to_string(), entitlement));
            }
            Fact::Grant(grant) => told.grants.push(grant),
            Fact::Containment(found) => {
                told.containments.insert((found.parent.to_string(), found.child.to_string()));
            }
            other => panic!("not of this connector: {other:?}"),
        }
    }
    told
}

/// A small company's server.
pub const COMPANY: &str = r#"
create database app; create database `od``d.b`; create database app_x;
create table app.orders (id int, note text); create table `od``d.b`.`t (x)` (`c ``d` int);
insert into app.orders values (1, 'one');
create procedure app.p() select 1; create function app.f() returns int return 1;
create role base; create role team; create role `odd ' role`;
create user alice@'127.0.0.1' identified by 'alicepw'; create user alice@'10.%' identified by 'alicepw';
create user bob@'%' identified by 'bobpw' account lock; create user carol@'%' identified by 'carolpw';
create user `o'br@ien`@'%' identified by 'obrienpw'; create user nopw@'%';
grant select on app.orders to base; grant base to team; grant team to alice@'127.0.0.1' with admin option;
grant process on *.* to team;
grant insert, delete on app.* to alice@'127.0.0.1'; grant update (note) on app.orders to carol@'%';
grant execute on procedure app.p to carol@'%'; grant execute, alter routine on function app.f to carol@'%';
grant select on `od``d.b`.`t (x)` to carol@'%'; grant insert (`c ``d`) on `od``d.b`.`t (x)` to carol@'%';
grant select on `app\_x`.* to carol@'%' with grant option;
grant `odd ' role` to carol@'%'; grant select on app.* to public;
grant create user, super on *.* to carol@'%'; grant proxy on alice@'127.0.0.1' to carol@'%';
grant all privileges on *.* to nopw@'%';
"#;

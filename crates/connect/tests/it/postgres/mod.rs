//! The `postgres` connector against a real server, checked with `psql`.

mod accounts;
mod changes;
pub mod contract;
mod enumeration;
mod failures;
mod grant_options;
mod issuing;
mod public;

use leasehold_connect::connector::Connector;
use leasehold_testing::PostgresServer;

use crate::harness::build;

/// A connector that logs in as the superuser.
pub fn connector(server: &PostgresServer) -> Box<dyn Connector> {
    connector_with(server, "")
}

/// The same with further settings.
pub fn connector_with(server: &PostgresServer, more: &str) -> Box<dyn Connector> {
    let url = server.url("postgres", "postgres");
    let password = server.password_file();
    build("postgres", &format!("url = '{url}'\npassword = 'file:{}'\n{more}", password.display()))
}

/// A connector that logs in as somebody whose password is the login and `pw`.
pub fn connector_as(server: &PostgresServer, login: &str) -> Box<dyn Connector> {
    let path = server.folder().join(format!("{login}.password"));
    std::fs::write(&path, format!("{login}pw")).expect("write the password file");
    let url = server.url(login, "postgres");
    build("postgres", &format!("url = '{url}'\npassword = 'file:{}'", path.display()))
}

/// A small company's server.
pub const COMPANY: &str = r#"
create role alice login password 'alicepw' valid until '2030-01-01 00:00:00+00';
create role bob login password 'bobpw' valid until 'infinity';
create role carol login password 'carolpw' noinherit;
create role gone login password 'gonepw' valid until '2020-01-01 00:00:00+00';
create role parked nologin password 'parkedpw';
create role team nologin;
create role base nologin;
create role ops nologin createrole;
create role owner_role nologin;
grant base to team;
grant team to alice with admin option;
grant team to carol;
grant alice to bob;
grant ops to bob;
grant pg_read_all_data to carol;
create schema sales authorization owner_role;
create table sales.orders (id int, amount int);
alter table sales.orders owner to owner_role;
create sequence sales.numbers; alter sequence sales.numbers owner to owner_role;
create function sales.total(int, text) returns int language sql as 'select 1';
alter function sales.total(int, text) owner to owner_role;
create table public."odd "" name" (id int);
grant usage on schema sales to base;
grant select on sales.orders to base;
grant update (amount) on sales.orders to bob;
grant select on sales.orders to bob with grant option;
grant usage on sequence sales.numbers to alice;
revoke execute on function sales.total(int, text) from public;
grant execute on function sales.total(int, text) to alice;
grant insert on public."odd "" name" to alice;
grant select on sales.orders to public;
alter default privileges for role owner_role in schema sales grant select on tables to base;
alter role bob createdb;
comment on role alice is 'Alice of the test';
"#;

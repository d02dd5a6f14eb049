//! Each server starts, answers its own clients, and is gone after its guard.

use leasehold_testing::openldap::{self, OpenLdapOptions};
use leasehold_testing::postgres::PASSWORD;
use leasehold_testing::{OpenLdapServer, PostgresServer, SambaServer};

#[test]
fn postgres_answers_and_goes() {
    let server = PostgresServer::start();
    assert_eq!(server.sql("select 1 + 1"), "2");
    let refused = server.sql_as("postgres", "wrong", "postgres", "select 1").unwrap_err();
    assert!(refused.contains("password authentication failed"), "{refused}");
    let (folder, port) = (server.folder().to_owned(), server.port());
    drop(server);
    assert!(!folder.exists(), "the data folder is left");
    assert!(!leasehold_testing::process::listens([127, 0, 0, 1].into(), port), "the server still listens");
}

#[test]
fn postgres_speaks_tls() {
    let server = PostgresServer::start_with_tls(false);
    assert_eq!(server.sql("select ssl from pg_stat_ssl where pid = pg_backend_pid()"), "t");
    assert!(server.sql_as("postgres", PASSWORD, "postgres", "select 1").is_ok());
}

#[test]
fn openldap_answers_and_goes() {
    let server = OpenLdapServer::start_with(OpenLdapOptions::default());
    assert!(server.can_bind(openldap::CONNECTOR, openldap::PASSWORD));
    assert!(!server.can_bind(openldap::CONNECTOR, "wrong"));
    assert_eq!(server.values(openldap::BASE, "(ou=people)", "ou"), ["people"]);
    let folder = server.folder().to_owned();
    drop(server);
    assert!(!folder.exists(), "the data folder is left");
}

#[test]
fn samba_answers_and_goes() {
    let server = SambaServer::start();
    assert!(server.can_bind(leasehold_testing::samba::ADMIN, leasehold_testing::samba::PASSWORD));
    let folder = server.folder().to_owned();
    drop(server);
    assert!(!folder.exists(), "the data folder is left");
}

#[test]
fn a_browser_finds_what_is_not_accessible() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/good_and_bad_page.mjs");
    leasehold_testing::browser::run(&script, &[]);
}

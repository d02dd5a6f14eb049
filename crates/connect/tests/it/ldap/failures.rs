//! What goes wrong on the way to a directory, and settings that are not as they must be.

use leasehold_connect::error::ConnectError;
use leasehold_model::plan::Verb;
use leasehold_model::request::{Outcome, ReadTarget};
use leasehold_testing::openldap::OpenLdapOptions;
use leasehold_testing::{OpenLdapServer, openldap};

use crate::harness::{account, build, execute, try_build};

fn table(server: &OpenLdapServer, url: &str, more: &str) -> String {
    format!(
        "url = '{url}'\nbase_dn = '{}'\nbind_dn = '{}'\npassword = 'file:{}'\n{more}",
        openldap::BASE,
        openldap::CONNECTOR,
        server.password_file().display()
    )
}

#[tokio::test]
async fn a_wrong_password_is_named_and_not_repeated() {
    let server = OpenLdapServer::start();
    let path = server.folder().join("wrong");
    std::fs::write(&path, "hunter2").unwrap();
    let table = format!(
        "url = '{}'\nbase_dn = '{}'\nbind_dn = '{}'\npassword = 'file:{}'",
        server.url(),
        openldap::BASE,
        openldap::CONNECTOR,
        path.display()
    );
    let error = build("ldap", &table).test().await.unwrap_err();
    assert!(matches!(error, ConnectError::Authentication { .. }), "{error:?}");
    assert!(
        error.to_string().contains(openldap::CONNECTOR) && !error.to_string().contains("hunter2"),
        "{error}"
    );
}

#[tokio::test]
async fn encrypted_connections_work_and_certificates_are_checked() {
    let good = OpenLdapServer::start();
    let expired =
        OpenLdapServer::start_with(OpenLdapOptions { expired_certificate: true, ..Default::default() });
    let own = OpenLdapServer::start_with(OpenLdapOptions { self_signed: true, ..Default::default() });
    let trust = |server: &OpenLdapServer| {
        format!("ca_certificate = '{}'", server.authority().certificate().display())
    };
    let start_tls = |server: &OpenLdapServer| format!("start_tls = true\n{}", trust(server));
    build("ldap", &table(&good, &good.tls_url(), &trust(&good))).test().await.expect("LDAPS");
    build("ldap", &table(&good, &good.url(), &start_tls(&good))).test().await.expect("StartTLS");
    // Signed by itself and marked as an authority's, and named in the settings as it is.
    let pinned = format!("ca_certificate = '{}'", own.certificate().display());
    build("ldap", &table(&own, &own.tls_url(), &pinned)).test().await.expect("a certificate named as it is");

    let by_name = own.tls_url().replace("127.0.0.1", "localhost");
    let cases = [
        (table(&own, &by_name, &pinned), "make one with this name"),
        (table(&own, &own.tls_url(), &trust(&good)), "it is marked as an authority's (CA:TRUE)"),
        (table(&good, &good.tls_url(), ""), "nobody we trust signed it"),
        (table(&expired, &expired.tls_url(), &trust(&expired)), "expired at 2020-01-02T00:00:00Z"),
        (table(&expired, &expired.url(), &start_tls(&expired)), "expired at 2020-01-02T00:00:00Z"),
        (table(&good, &good.tls_url(), &trust(&expired)), "was not accepted"),
    ];
    for (table, expected) in cases {
        let error = build("ldap", &table).test().await.unwrap_err();
        assert!(matches!(error, ConnectError::Certificate { .. }), "{table}: {error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_unreachable() {
    let port = leasehold_testing::process::free_port();
    let connector = build("ldap", &format!("url = 'ldap://127.0.0.1:{port}'\nbase_dn = 'dc=x'"));
    let error = connector.test().await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    let outcome = execute(&*connector, Verb::DisableAccount, &account("x"), None).await;
    assert!(matches!(outcome, Outcome::Retry { .. }), "nothing was sent: {outcome:?}");
    let read = connector.read_back(&ReadTarget::Account { account: account("x") }).await;
    assert!(read.is_err(), "unreachable is not absent: {read:?}");
}

#[tokio::test]
async fn a_directory_that_does_not_answer_or_talks_nonsense_is_an_error() {
    use std::io::Write;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let table = |port: u16| format!("url = 'ldap://127.0.0.1:{port}'\nbase_dn = 'dc=x'\ntimeout_ms = 300");
    let error = build("ldap", &table(silent.local_addr().unwrap().port())).test().await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { timeout_ms: 300, .. }), "{error:?}");

    // The last is a well-formed message whose content is not an answer to a search.
    for nonsense in
        [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0x30, 0x80, 0, 0], &[0x30, 5, 2, 1, 1, 0x65, 0]]
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut request);
            let _ = stream.write_all(nonsense);
        });
        let error = build("ldap", &table(port)).test().await.unwrap_err();
        assert!(matches!(error, ConnectError::Target { .. } | ConnectError::Timeout { .. }), "{error:?}");
        server.join().unwrap();
    }
}

#[tokio::test]
async fn a_base_that_is_not_there_is_an_error_and_not_an_absence() {
    let server = OpenLdapServer::start();
    let table = table(&server, &server.url(), "").replace(openldap::BASE, "dc=elsewhere,dc=com");
    let table = table.replace("cn=leasehold,dc=elsewhere", "cn=leasehold,dc=example");
    let connector = build("ldap", &table);
    let mut facts = crate::harness::Facts::default();
    let error = connector.enumerate(&mut facts).await.unwrap_err();
    assert!(error.to_string().contains("noSuchObject"), "{error}");
    let target = account("00000000-0000-0000-0000-000000000000");
    assert!(connector.read_back(&ReadTarget::Account { account: target }).await.is_err());
}

#[test]
fn wrong_settings_are_named() {
    let secret = tempfile();
    for (table, expected) in [
        ("", "setting `url` of system `target`: is missing"),
        ("url = 'http://h'", "begins with `http://`"),
        ("url = 'ldap://h/dc=x'", "holds more than scheme"),
        ("url = 'ldap://h'", "setting `base_dn`"),
        ("url = 'ldap://h'\nbase_dn = 'x'", "is not a distinguished name"),
        (
            "url = 'ldap://h'\nbase_dn = 'dc=x'\nbind_dn = 'cn=a'",
            "setting `password` of system `target`: is missing",
        ),
        (
            "url = 'ldap://h'\nbase_dn = 'dc=x'\nbind_dn = 'cn=a'\npassword = 'file:SECRET'",
            "would send the password unencrypted",
        ),
        ("url = 'ldaps://h'\nbase_dn = 'dc=x'\nstart_tls = true", "is not for `ldaps://`"),
        ("url = 'ldap://h'\nbase_dn = 'dc=x'\npeople_filter = '(broken'", "is not an LDAP filter"),
        ("url = 'ldap://h'\nbase_dn = 'dc=x'\ndialect = 'novell'", "is not known"),
        (
            "url = 'ldap://h'\nbase_dn = 'dc=x'\nauthoritative = true\nkey = 'badge'",
            "is no attribute of `columns`",
        ),
        ("url = 'ldaps://h'\nbase_dn = 'dc=x'\nca_certificate = '/nowhere.pem'", "cannot read /nowhere.pem"),
        ("url = 'ldap://h'\nbase_dn = 'dc=x'\npage_sice = 1", "did you mean `page_size`?"),
    ] {
        let table = table.replace("SECRET", &secret.display().to_string());
        let error = try_build("ldap", &table).err().expect(&table).to_string();
        assert!(error.contains(expected), "{table}: {error}");
    }
    std::fs::remove_file(secret).unwrap();
}

fn tempfile() -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("leasehold-test-secret-{}", std::process::id()));
    std::fs::write(&path, "x").unwrap();
    path
}

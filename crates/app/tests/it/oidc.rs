//! Sign-in by a real OpenID provider, in a real browser.

use leasehold_testing::oidc::{CLIENT, CLIENT_SECRET};
use leasehold_testing::process::free_port;
use leasehold_testing::{OpenIdProvider, browser};

use crate::browser::{Served, script};
use crate::installation::{Installation, holds};

#[test]
fn people_sign_in_by_a_real_provider_with_the_roles_of_their_groups_and_are_signed_out_by_its_word() {
    let (port, server) = (free_port(), free_port());
    // Another host than the provider's: what a browser keeps from other sites counts here.
    let url = format!("http://localhost:{server}");
    let provider = OpenIdProvider::start(port, &url);
    let mut installation = Installation::new();
    installation.set("OIDC_CLIENT_SECRET", CLIENT_SECRET);
    installation.write(
        "leasehold.toml",
        &format!(
            "[server]\nlisten = \"127.0.0.1:{server}\"\nurl = \"{url}\"\n\n[server.oidc]\nissuer = \"{}\"\n\
             client_id = \"{CLIENT}\"\nclient_secret = \"env:OIDC_CLIENT_SECRET\"\nname = \"Example ID\"\n\
             scopes = [\"email\", \"profile\", \"groups\"]\nroles = {{ \"leasehold-admins\" = \"administrator\" }}\n",
            provider.issuer()
        ),
    );
    let served = Served::start(&installation, &["serve"]);
    let issuer = provider.issuer();
    let told = [
        ("LEASEHOLD_URL", url.as_str()),
        ("LEASEHOLD_FIRST", served.first()),
        ("LEASEHOLD_ISSUER", issuer.as_str()),
    ];
    browser::run(&script("oidc.mjs"), &told);
    assert!(provider.log().contains("logout was heard"), "{}", provider.log());
    served.stop();
    let entries = installation.run(&["--json", "user", "list"]).expect(0).json();
    let mails: Vec<&str> =
        entries["items"].as_array().expect("users").iter().filter_map(|user| user["mail"].as_str()).collect();
    assert_eq!(mails.len(), 4, "{mails:?}");
    assert!(!holds(&installation.all_bytes(), CLIENT_SECRET), "the client's secret is kept in a file");
}

#[test]
fn a_provider_that_is_written_wrongly_is_named_with_its_place() {
    let mut installation = Installation::new();
    let good = "issuer = \"https://id.example.com\"\nclient_id = \"leasehold\"\nclient_secret = \"env:OIDC_CLIENT_SECRET\"\n";
    for (written, wanted) in [
        ("client_id = \"leasehold\"\n".to_owned(), "`issuer` is missing"),
        (good.replace("https://id", "http://id"), "not an issuer"),
        (good.replace("env:OIDC_CLIENT_SECRET", "hunter2-in-clear"), "a secret in clear text"),
        (format!("{good}roles = {{ staff = \"admin\" }}\n"), "not a role"),
        (format!("{good}roles = \"staff\"\n"), "a table of groups and roles"),
        (format!("{good}scope = [\"email\"]\n"), "did you mean `scopes`"),
        (format!("{good}scopes = \"email\"\n"), "not a list of scopes"),
    ] {
        installation.write("leasehold.toml", &format!("[server.oidc]\n{written}"));
        let refused = installation.run(&["user", "list"]).expect(1);
        assert!(refused.stderr.contains(wanted), "{written}: {}", refused.stderr);
        assert!(refused.stderr.contains("leasehold.toml:"), "{}", refused.stderr);
        assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    }
    // The secret is read by who needs it.
    installation.write("leasehold.toml", &format!("[server.oidc]\n{good}"));
    installation.run(&["user", "list"]).expect(0);
    let refused = installation.run(&["serve", "--listen", "127.0.0.1:0"]).expect(1);
    assert!(refused.stderr.contains("OIDC_CLIENT_SECRET is not set"), "{}", refused.stderr);
}

//! People who leave while other applications may do things in their name: what the hub says afterwards of each token, and what the
//! receipt says of it.

use leasehold_testing::JupyterHubServer;
use leasehold_testing::jupyterhub::{OWN_TOKEN, PASSWORD};
use serde_json::Value;

use crate::everywhere::documented;
use crate::installation::Installation;

const PEOPLE: &str = "\
email,employee_number,given_name,family_name,title,department,manager,owner,kind,status,start_date,end_date
alice@example.com,1,Alice,Moor,Engineer,Payments,,,person,active,2020-01-01,
bob@example.com,2,Bob,Brook,Engineer,Payments,,,person,active,2020-01-01,
carol@example.com,3,Carol,Field,Engineer,Payments,,,person,active,2020-01-01,
";

/// A hub in which everybody is a student, has a token, lets an application in, and runs a server; and what reads it.
struct Scene {
    server: JupyterHubServer,
    installation: Installation,
}

impl Scene {
    fn start() -> Self {
        let server = JupyterHubServer::start(&documented("JupyterHub"));
        for user in ["bob", "carol"] {
            server.add_user(user);
        }
        server.add_members("students", &["alice", "bob", "carol"]);
        let installation = Installation::new();
        installation.write("people.csv", PEOPLE);
        let mut scene = Self { server, installation };
        scene.configure("");
        scene.installation.run(&["connector", "test", "notebooks"]).expect(0);
        scene
    }

    /// Writes the configuration, with more settings of the hub.
    fn configure(&self, more: &str) {
        let token = self.server.token_file("own", OWN_TOKEN);
        let text = format!(
            "[system.hr]\nconnector = \"csv\"\npath = \"people.csv\"\nauthoritative = true\nkey = \"email\"\n\n\
             [system.notebooks]\nconnector = \"jupyterhub\"\nurl = \"{}\"\ntoken = \"file:{}\"\n\
             correlate = [\"login = email.local\"]\n{more}",
            self.server.url(),
            token.display()
        );
        self.installation.write("leasehold.toml", &text);
    }

    /// A token that somebody made, and one that the application got from them; a running server.
    fn give(&self, user: &str) -> [String; 2] {
        self.server.start_server(user);
        [self.server.add_token(user, "nightly").0, self.server.authorize(user)]
    }

    /// Offboards somebody, with this exit code.
    fn offboard(&mut self, user: &str, code: i32) -> Value {
        self.installation.run(&["sync"]).expect(0);
        let whom = format!("{user}@example.com");
        let offboard = ["offboard", &whom, "--yes", "--json", "--out", &format!("{user}.json")];
        self.installation.run(&offboard).expect(code).json()
    }
}

/// Verbs with what they were about, of what was read back as done.
fn verified(done: &Value, verb: &str) -> Vec<Value> {
    let items = done["items"].as_array().expect("items").iter();
    let is_so = |item: &&Value| {
        item["verb"] == verb && item["state"] == "verified" && item["read_back_at"].is_string()
    };
    items.filter(is_so).cloned().collect()
}

#[test]
fn what_applications_got_from_a_leaver_ends_with_everything_else() {
    let mut scene = Scene::start();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| scene.give(user));

    // Without a switch the plan ends what it can, and says what is left to a person.
    let done = scene.offboard("alice", 2);
    let server = &scene.server;
    assert_eq!(alice.each_ref().map(|token| server.whose(token)), [None, None], "{done:#}");
    assert!(!server.has_server("alice") && !server.is_member("alice", "students"));
    assert!(server.logs_in("alice", PASSWORD), "nobody could end that");
    let kinds: Vec<Value> =
        verified(&done, "revoke_credential").iter().map(|item| item["credential"]["kind"].clone()).collect();
    assert!(
        kinds.iter().any(|kind| kind == "oauth_grant") && kinds.iter().any(|kind| kind == "token"),
        "{done:#}"
    );
    let ended = verified(&done, "end_sessions");
    let [ended] = ended.as_slice() else { panic!("{done:#}") };
    let residual =
        |ended: &Value| ended["reason"].as_str().is_some_and(|why| why.contains("no browser session"));
    assert!(residual(ended), "the browser that is logged in above is none of those that ended: {ended:#}");
    let receipt: Value = serde_json::from_str(&scene.installation.read("alice.json")).expect("a receipt");
    let left = receipt["statement"]["remaining"].as_array().expect("a list");
    let is_named = |words: &str| {
        left.iter().any(|left| {
            left["system"] == "notebooks" && left["why"].as_str().is_some_and(|why| why.contains(words))
        })
    };
    assert!(is_named("cannot disable accounts") && is_named("load_roles"), "{left:#?}");

    // Where a user may be deleted instead, nothing is left.
    scene.configure("disable_by_deleting = true\n");
    let done = scene.offboard("bob", 0);
    let server = &scene.server;
    assert_eq!(bob.each_ref().map(|token| server.whose(token)), [None, None], "{done:#}");
    assert_eq!(verified(&done, "disable_account").len(), 1, "{done:#}");
    assert!(!verified(&done, "end_sessions").iter().any(residual), "{done:#}");
    assert!(!server.logs_in("bob", PASSWORD), "the user is gone");

    // Everybody else works on, with what they had.
    for token in &carol {
        assert_eq!(server.whose(token).as_deref(), Some("carol"));
    }
    assert!(
        server.has_server("carol")
            && server.is_member("carol", "students")
            && server.logs_in("carol", PASSWORD)
    );
    let secrets = alice.iter().chain(&bob).chain(&carol).map(String::as_str).chain([OWN_TOKEN]);
    for secret in secrets {
        assert!(!scene.installation.printed.contains(secret), "a token was printed");
    }
}

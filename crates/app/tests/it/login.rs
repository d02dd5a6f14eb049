//! `login` and `logout`: a token by a browser, kept for its user alone, and ended.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::Value;

use crate::remote::Beside;

/// Sends a request over plain HTTP/1.0 and gives head and body of the answer.
fn send(url: &str, method: &str, path: &str, cookie: &str, form: &str) -> (String, String) {
    let address = url.strip_prefix("http://").expect("an address on loopback");
    let mut connection = TcpStream::connect(address).expect("connected");
    write!(
        connection,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nOrigin: {url}\r\nCookie: {cookie}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .expect("asked");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

fn between<'text>(text: &'text str, start: &str, end: &str) -> &'text str {
    let rest = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}")).1;
    rest.split_once(end).expect("an end").0
}

/// Follows a link that signs in, and gives the session's cookie.
fn session(url: &str, link: &str) -> String {
    let token = link.trim().split_once("token=").expect("a token").1;
    let (head, body) = send(url, "POST", "/link", "", &format!("token={token}"));
    let cookies: Vec<&str> = head
        .lines()
        .filter(|line| line.to_ascii_lowercase().starts_with("set-cookie:"))
        .map(|line| line[11..].split(';').next().unwrap_or_default().trim())
        .collect();
    assert!(cookies.iter().any(|cookie| cookie.starts_with("leasehold_session=")), "{head}\n{body}");
    cookies.join("; ")
}

/// Decides about the program that waits with a code, as a person does in a browser.
fn decide(url: &str, cookie: &str, code: &str, decision: &str) {
    let (head, page) = send(url, "GET", &format!("/device?user_code={code}"), cookie, "");
    assert!(page.contains(code), "{head}\n{page}");
    let csrf = between(&page, "name=\"csrf\" value=\"", "\"");
    let form = format!("csrf={csrf}&user_code={code}&decision={decision}");
    let (head, body) = send(url, "POST", "/device", cookie, &form);
    assert!(head.starts_with("HTTP/1.0 303"), "{head}\n{body}");
}

/// Runs `login` until it has ended, with somebody who decides meanwhile.
fn login(company: &mut Beside, scopes: &str, cookie: &str, decision: &str) -> (i32, String) {
    let url = company.url();
    let mut child = company
        .installation
        .command(&["login", "--server", &url, "--scope", scopes])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run leasehold");
    let mut said = String::new();
    let mut lines = BufReader::new(child.stderr.take().expect("its words"));
    while !said.contains("/device?user_code=") {
        assert_ne!(lines.read_line(&mut said).expect("reads"), 0, "it ended without a code: {said}");
    }
    let code = said.split_once("/device?user_code=").expect("a code").1.trim().to_owned();
    assert!(said.contains(&format!("open {url}/device and type the code {code}")), "{said}");
    decide(&url, cookie, &code, decision);
    lines.read_to_string(&mut said).expect("reads");
    let output = child.wait_with_output().expect("ends");
    said += &String::from_utf8_lossy(&output.stdout);
    company.installation.printed += &said;
    (output.status.code().unwrap_or(-1), said)
}

#[test]
fn somebody_logs_in_by_a_browser_works_and_logs_out() {
    let mut company = Beside::start();
    let url = company.url();
    let nobody = company.there(&["drift"]).expect(1);
    assert!(nobody.stderr.contains(&format!("run `leasehold login --server {url}`")), "{}", nobody.stderr);
    let link = company.here(&["user", "link", "dana@example.com", "--sign-in"]).expect(0).stdout;
    let cookie = session(&url, &link);
    let (code, said) = login(&mut company, "read", &cookie, "refuse");
    assert!(code == 1 && said.contains("somebody refused it"), "{code} {said}");
    let (code, said) = login(&mut company, "read", &cookie, "allow");
    assert!(code == 0 && said.contains(&format!("signed in to {url} (read)")), "{code} {said}");

    let file = company.installation.path().join("home/leasehold/servers.json");
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    let kept: Value = serde_json::from_slice(&std::fs::read(&file).expect("a file")).expect("JSON");
    let token = kept[&url]["token"].as_str().expect("a token").to_owned();
    assert!(token.starts_with("lh_"));
    company.there(&["drift", "--json"]).expect(2);
    company.installation.set("LEASEHOLD_SERVER", &url);
    company.here(&["drift", "--json"]).expect(2);
    let refused = company.here(&["plan"]).expect(1);
    assert!(
        refused.stderr.contains("no scope")
            && refused.stderr.contains(&format!("leasehold login --server {url} --scope")),
        "{}",
        refused.stderr
    );
    // Named as none, the store is meant.
    let listed = company.here(&["--server", "", "token", "list", "--json"]).expect(0).json();
    let row = &listed["items"][0];
    assert_eq!(
        (&row["user"], &row["scopes"]),
        (&Value::from("dana@example.com"), &serde_json::json!(["read"]))
    );
    assert!(row["name"].as_str().is_some_and(|name| name.contains("run by tester")), "{row:#}");

    company.here(&["logout"]).expect(0);
    let nobody = company.here(&["drift"]).expect(1);
    assert!(nobody.stderr.contains("you are not signed in"), "{}", nobody.stderr);
    let twice = company.here(&["logout"]).expect(1);
    assert!(twice.stderr.contains("you are not signed in"), "{}", twice.stderr);
    let listed = company.here(&["--server", "", "token", "list", "--json"]).expect(0).json();
    assert!(listed["items"][0]["revoked_at"].is_string(), "{listed:#}");
    assert!(!company.installation.printed.contains(&token), "the token was printed");
}

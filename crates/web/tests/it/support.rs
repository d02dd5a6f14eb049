//! A server over a store in a folder of its own, a clock in the test's hand, and a client that keeps cookies.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use leasehold_connect::registry;
use leasehold_decide::authority::{Authority, AuthorityFile};
use leasehold_decide::correlate::CorrelationRule;
use leasehold_decide::merge::Precedence;
use leasehold_ledger::checkpoint::SigningKey;
use leasehold_model::clock::{Clock as _, ManualClock};
use leasehold_model::id::{IdentityKey, SystemName};
use leasehold_reconcile::driver::{Driver, DriverSettings};
use leasehold_reconcile::live::Live;
use leasehold_reconcile::pace::Patience;
use leasehold_reconcile::publisher::Publisher;
use leasehold_reconcile::system::{Enforcing, INTERVAL_MS_DEFAULT, System, Systems};
use leasehold_store::{LinkKind, NewUser, Store, StoreOptions, User};
use leasehold_web::{
    NoConnections, NoticeSecrets, OpenIdSettings, SealKey, Server, Settings, SystemOwners, WebhookSettings,
    create_token, router, setup_link, user_link,
};
use tower::ServiceExt as _;

/// A password that the rules take.
pub const PASSWORD: &str = "gravel teapot orbit";

/// A server, its store and its clock.
pub struct Installation {
    pub router: Router,
    pub store: Store,
    pub live: Live,
    pub driver: Driver,
    pub clock: Arc<ManualClock>,
    pub publisher: Option<Publisher>,
    pub settings: Settings,
    pub url: String,
    _folder: tempfile::TempDir,
}

pub fn system(name: &str) -> SystemName {
    SystemName::new(name).expect("a system name")
}

pub fn rule(text: &str) -> CorrelationRule {
    CorrelationRule::parse(text).expect("a rule")
}

/// A system with its connector, as `leasehold.toml` would describe it.
pub fn connected(folder: &Path, name: &str, connector: &str, authoritative: bool, settings: &str) -> System {
    let table = settings.parse().expect("settings");
    let settings = leasehold_connect::settings::Settings::new(system(name), folder, table);
    System {
        name: system(name),
        connector_kind: connector.to_owned(),
        connector: Arc::from(registry::build(connector, settings).expect("a connector")),
        correlate: vec![rule("login = email")],
        new_account_login: None,
        precedence: Precedence::default(),
        authoritative,
        enforce: Enforcing::default(),
        interval_ms: INTERVAL_MS_DEFAULT,
        connector_login: None,
    }
}

/// Who is in the company, and what they hold.
pub fn company(folder: &Path) -> Systems {
    let people = "email,manager,department,status\n\
        dana@example.com,,Board,active\n\
        mia@example.com,dana@example.com,Sales,active\n\
        ada@example.com,mia@example.com,Sales,active\n\
        olga@example.com,dana@example.com,IT,active\n\
        bo@example.com,dana@example.com,IT,left\n";
    let grants = "account,entitlement\n\
        ada@example.com,role/clerk\n\
        bo@example.com,role/clerk\n\
        olga@example.com,role/admin\n\
        stranger,role/clerk\n";
    std::fs::write(folder.join("people.csv"), people).expect("written");
    std::fs::write(folder.join("grants.csv"), grants).expect("written");
    let hr = connected(folder, "hr", "csv", true, "path = \"people.csv\"");
    let erp = connected(folder, "erp", "csv", false, "grants = \"grants.csv\"");
    [hr, erp].into_iter().map(|system| (system.name.clone(), system)).collect()
}

/// What the system `erp` signs its notices with, in the tests that send some.
pub const NOTICE_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn notice_secrets() -> NoticeSecrets {
    BTreeMap::from([(system("erp"), NOTICE_SECRET.parse().expect("a secret"))]).into()
}

/// Receivers of webhooks may be on this machine.
pub fn webhooks() -> WebhookSettings {
    WebhookSettings { allow: vec!["127.0.0.1/32".parse().expect("a network")] }
}

/// The instant at which every test begins.
pub fn start() -> Timestamp {
    "2026-01-05T09:00:00Z".parse().expect("an instant")
}

impl Installation {
    /// An empty store behind plain http on loopback.
    pub async fn new() -> Self {
        Self::at("http://127.0.0.1:8420").await
    }

    /// An empty store behind an address.
    pub async fn at(url: &str) -> Self {
        Self::build(url, None).await
    }

    /// A small company in files, read once: `erp` belongs to olga, mia manages ada, bo has left.
    pub async fn with_company() -> Self {
        Self::with_systems(company).await
    }

    /// Systems, read once, and the administrator.
    pub async fn with_systems(systems: fn(&Path) -> Systems) -> Self {
        let installation = Self::build("http://127.0.0.1:8420", Some(systems)).await;
        installation.driver.start().await.expect("starts");
        installation.driver.turn().await.expect("reads");
        installation.make_administrator().await;
        installation
    }

    async fn build(url: &str, company: Option<fn(&Path) -> Systems>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let systems = company.map(|company| company(folder.path())).unwrap_or_default();
        let owners = BTreeMap::from([(system("erp"), vec![IdentityKey::from("olga@example.com")])]);
        Self::governing(url, folder, systems, Arc::new(ManualClock::at(start())), owners, None).await
    }

    /// An empty store for systems that nobody has read yet.
    pub async fn over(url: &str, systems: Systems, clock: Arc<ManualClock>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::governing(url, folder, systems, clock, BTreeMap::new(), None).await
    }

    /// An empty store for systems that nobody has read yet, some with owners; with a key the ledger is published.
    pub async fn governing(
        url: &str,
        folder: tempfile::TempDir,
        systems: Systems,
        clock: Arc<ManualClock>,
        system_owners: BTreeMap<SystemName, Vec<IdentityKey>>,
        key: Option<Arc<SigningKey>>,
    ) -> Self {
        let options = StoreOptions { durable: false, connections_max: 4, ..StoreOptions::default() };
        let address = format!("sqlite:{}", folder.path().join("store.db").display());
        let store = Store::open(&address, options).await.expect("opens");
        let publisher = key.map(|key| Publisher {
            store: store.clone(),
            directory: folder.path().join("ledger"),
            origin: key.verifying_key().name().to_owned(),
            key,
        });
        let patience = Patience { back_off_ms: 1, read_again_ms: 1, ..Patience::default() };
        let driver = Driver::new(
            store.clone(),
            systems,
            clock.clone(),
            patience,
            publisher.clone(),
            DriverSettings::default(),
        );
        let settings = Settings {
            url: url.parse().expect("an address"),
            trusted_proxies: Vec::new(),
            seal_key: SealKey::generate().expect("a key"),
            system_owners: system_owners.into(),
            notice_secrets: notice_secrets(),
            openid: None,
            webhooks: webhooks(),
        };
        let server = Server {
            driver: driver.handle(),
            pace: clock.clone(),
            settings: settings.clone(),
            authority: shipped(),
            connections: Arc::new(NoConnections),
        };
        let router = router(server);
        let live = driver.live().clone();
        Self { router, store, live, driver, clock, publisher, settings, url: url.to_owned(), _folder: folder }
    }

    /// An empty store, and an OpenID provider that people may sign in by.
    pub async fn with_provider(provider: OpenIdSettings) -> Self {
        let mut installation = Self::new().await;
        let settings = Settings {
            url: installation.url.parse().expect("an address"),
            trusted_proxies: Vec::new(),
            seal_key: SealKey::generate().expect("a key"),
            system_owners: SystemOwners::default(),
            notice_secrets: NoticeSecrets::default(),
            openid: Some(provider),
            webhooks: webhooks(),
        };
        let server = Server {
            driver: installation.driver.handle(),
            pace: installation.clock.clone(),
            settings,
            authority: shipped(),
            connections: Arc::new(NoConnections),
        };
        installation.router = router(server);
        installation
    }

    /// The same installation with authority policies of its own.
    pub fn ruled_by(mut self, policies: &str) -> Self {
        let file = AuthorityFile { name: "own.cedar".to_owned(), text: policies.to_owned() };
        let server = Server {
            driver: self.driver.handle(),
            pace: self.clock.clone(),
            settings: self.settings.clone(),
            authority: Authority::with(&[file]).expect("policies"),
            connections: Arc::new(NoConnections),
        };
        self.router = router(server);
        self
    }

    /// A store with one user, `dana@example.com`, who administers it.
    pub async fn with_administrator() -> Self {
        let installation = Self::new().await;
        installation.make_administrator().await;
        installation
    }

    /// Makes `dana@example.com` by the first link.
    pub async fn make_administrator(&self) {
        let link = self.setup_link().await.expect("nobody is there yet");
        let token = link.split_once("token=").expect("a token").1;
        let fields =
            [("token", token), ("name", "Dana"), ("mail", "dana@example.com"), ("password", PASSWORD)];
        let answer = self.browser().post("/link", &fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    }

    /// Makes a user without a password.
    pub async fn make_user(&self, mail: &str, roles: &[&str]) -> User {
        let new = NewUser {
            mail: mail.to_owned(),
            name: mail.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            password_hash: None,
            password_alone: false,
        };
        self.store.create_user(&new, "dana@example.com", self.now()).await.expect("a user")
    }

    /// A browser in which a user has signed in just now.
    pub async fn browser_of(&self, user: &User) -> Browser {
        let url = self.url.parse().expect("an address");
        let link =
            user_link(&self.store, &url, LinkKind::SignIn, user, "test", self.now()).await.expect("a link");
        let mut browser = self.browser();
        let token = link.split_once("token=").expect("a token").1;
        let answer = browser.post("/link", &[("token", token)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        browser
    }

    /// A browser in which the administrator has signed in just now.
    pub async fn signed_in(&self) -> Browser {
        let mut browser = self.browser();
        let answer = browser.sign_in("dana@example.com", PASSWORD).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        browser
    }

    /// A token of the administrator.
    pub async fn token(&self, scopes: &[&str], days: i64) -> String {
        let user = self.store.user_by_mail("dana@example.com").await.expect("reads").expect("is there");
        self.token_of(&user, scopes, days).await
    }

    /// A program with a token of the administrator that may do everything.
    pub async fn program(&self) -> Program {
        Program { browser: self.browser(), token: self.token(&["admin"], 30).await }
    }

    /// A program with a token of a user.
    pub async fn program_of(&self, user: &User, scopes: &[&str]) -> Program {
        self.program_with(self.token_of(user, scopes, 30).await)
    }

    /// A program with a token.
    pub fn program_with(&self, token: String) -> Program {
        Program { browser: self.browser(), token }
    }

    async fn token_of(&self, user: &User, scopes: &[&str], days: i64) -> String {
        self.token_for(user, scopes, None, days).await
    }

    /// A token of a user that is for one system.
    pub async fn token_for(&self, user: &User, scopes: &[&str], system: Option<&str>, days: i64) -> String {
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let made = create_token(&self.store, user, "test", &scopes, system, days, "test", self.now()).await;
        made.expect("a token").secret
    }

    /// The path of a link for the first administrator.
    pub async fn setup_link(&self) -> Option<String> {
        let url = self.url.parse().expect("an address");
        let link = setup_link(&self.store, &url, self.now()).await.expect("reads");
        link.map(|link| link.strip_prefix(&self.url).expect("an address of this server").to_owned())
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A browser without cookies.
    pub fn browser(&self) -> Browser {
        Browser { router: self.router.clone(), origin: self.url.clone(), cookies: BTreeMap::new() }
    }
}

/// A browser, as far as a server can tell.
#[derive(Clone)]
pub struct Browser {
    router: Router,
    origin: String,
    pub cookies: BTreeMap<String, String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// A header as text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Where the browser is sent.
    pub fn location(&self) -> &str {
        self.header("location")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Browser {
    /// Sends a request with the cookies, and keeps those that come back.
    pub async fn send(&mut self, mut request: Request<Body>) -> Answer {
        if !self.cookies.is_empty() {
            let pairs: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request.headers_mut().insert(header::COOKIE, pairs.join("; ").parse().expect("cookies"));
        }
        let response = self.router.clone().oneshot(request).await.expect("answers");
        let (parts, body) = response.into_parts();
        for line in parts.headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().expect("text");
            let (name, value) =
                line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// Asks for a page.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).expect("a request")).await
    }

    /// Sends a form from a page of the server.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in fields {
            form.append_pair(name, value);
        }
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ORIGIN, &self.origin)
            .body(Body::from(form.finish()))
            .expect("a request");
        self.send(request).await
    }

    /// The same with texts that were put together.
    pub async fn post_owned(&mut self, path: &str, fields: &[(&str, String)]) -> Answer {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.post(path, &fields).await
    }

    /// Sends the form of the sign-in page.
    pub async fn sign_in(&mut self, mail: &str, password: &str) -> Answer {
        self.post("/sign-in", &[("mail", mail), ("password", password)]).await
    }

    /// The same from an address.
    pub async fn sign_in_from(&mut self, source: &str, mail: &str, password: &str) -> Answer {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("mail", mail).append_pair("password", password);
        let mut request = Request::post("/sign-in")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ORIGIN, &self.origin)
            .body(Body::from(form.finish()))
            .expect("a request");
        request.extensions_mut().insert(from(source));
        self.send(request).await
    }

    /// The token of the forms on a page.
    pub async fn csrf(&mut self, path: &str) -> String {
        let page = self.get(path).await;
        let rest = page
            .text
            .split_once("name=\"csrf\" value=\"")
            .unwrap_or_else(|| panic!("{path}: {}", page.text))
            .1;
        rest.split('"').next().expect("an end").to_owned()
    }
}

/// The peer of a request.
pub fn from(source: &str) -> ConnectInfo<SocketAddr> {
    ConnectInfo(SocketAddr::new(source.parse().expect("an address"), 50_000))
}

/// A program that calls the API with a token.
pub struct Program {
    browser: Browser,
    pub token: String,
}

impl Program {
    /// A request with the token.
    pub fn request(&self, method: &str, path: &str) -> axum::http::request::Builder {
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {}", self.token))
    }

    /// Sends a request as it is.
    pub async fn send(&mut self, request: Request<Body>) -> Answer {
        self.browser.send(request).await
    }

    /// Asks for something.
    pub async fn get(&mut self, path: &str) -> Answer {
        let request = self.request("GET", path).body(Body::empty()).expect("a request");
        self.send(request).await
    }

    /// Sends JSON.
    pub async fn call(&mut self, method: &str, path: &str, body: serde_json::Value) -> Answer {
        self.call_with(method, path, &[], body).await
    }

    /// Sends JSON with further headers.
    pub async fn call_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: serde_json::Value,
    ) -> Answer {
        let mut request = self.request(method, path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_string())).expect("a request");
        self.send(request).await
    }
}

fn shipped() -> Authority {
    Authority::shipped().expect("they fit their schema")
}

//! A server over a store in a folder of its own, a clock in the test's hand, and a client that keeps cookies.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use leasehold_model::clock::ManualClock;
use leasehold_reconcile::live::Live;
use leasehold_store::{Store, StoreOptions};
use leasehold_web::{Server, Settings, router};
use tower::ServiceExt as _;

/// A server, its store and its clock.
pub struct Installation {
    pub router: Router,
    pub store: Store,
    pub live: Live,
    pub clock: Arc<ManualClock>,
    pub url: String,
    _folder: tempfile::TempDir,
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
        let folder = tempfile::tempdir().expect("a folder");
        let options = StoreOptions { durable: false, connections_max: 4, ..StoreOptions::default() };
        let address = format!("sqlite:{}", folder.path().join("store.db").display());
        let store = Store::open(&address, options).await.expect("opens");
        let clock = Arc::new(ManualClock::at(start()));
        let settings = Settings { url: url.parse().expect("an address"), trusted_proxies: Vec::new() };
        let live = Live::new(store.clone(), BTreeMap::new(), clock.clone());
        let server = Server { store: store.clone(), live: live.clone(), clock: clock.clone(), settings };
        let router = router(server).expect("a router");
        Self { router, store, live, clock, url: url.to_owned(), _folder: folder }
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
}

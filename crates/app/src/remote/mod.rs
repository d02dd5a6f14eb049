//! A server somewhere else, as commands use it: one thin client, and what it says when something is wrong.

mod address;
mod keep;
mod problem;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::context::Common;
use crate::progress::Progress;
use problem::Problem;

pub use keep::{Keeper, Kept};

/// Connecting takes no longer than this.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// The server itself gives up a little earlier.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// So long a server is asked again that has just begun and loads what it knows.
const LOADED_WITHIN: Duration = Duration::from_secs(60);
/// Rows on a page: as many as there may be.
const ROWS: &str = "500";
/// How often it is asked what became of a task: soon at first, since most end soon.
const ASK_FIRST: Duration = Duration::from_millis(100);
const ASK_AT_LEAST_EVERY: Duration = Duration::from_secs(2);

/// A server, and the token that it is asked with.
pub struct Remote {
    url: Url,
    client: reqwest::Client,
    token: Option<Token>,
}

/// A secret that shows itself nowhere but in the header that it is for.
struct Token(String);

/// What is sent along with a question.
enum Body {
    Nothing,
    Json(Value),
    Form(String),
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<Row, Rest> {
    items: Vec<Row>,
    #[serde(default)]
    next: Option<String>,
    #[serde(flatten)]
    rest: Rest,
}

/// A list without anything beside its rows.
#[derive(Deserialize)]
pub struct Nothing {}

/// What a task came to.
#[derive(Deserialize)]
pub struct Ended {
    /// `done`, `failed` or `cancelled`; before that `queued` or `running`.
    state: String,
    /// What came of it.
    #[serde(default)]
    pub result: Value,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
}

impl Remote {
    /// The server that a command is to work against, with a token for it; `None` where it works on the store of this
    /// machine.
    ///
    /// # Errors
    /// Where the address cannot be used, or there is no token for it.
    pub fn of(common: &Common) -> anyhow::Result<Option<Self>> {
        let Some(mut remote) = Self::without_token(common)? else { return Ok(None) };
        let token = match environment("LEASEHOLD_TOKEN") {
            Some(token) => token,
            None => {
                let kept = Keeper::of_this_user()?.get(&remote.name())?;
                kept.with_context(|| {
                    format!(
                        "you are not signed in to {0}; run `leasehold login --server {0}`, or set LEASEHOLD_TOKEN to an API \
                         token of it",
                        remote.name()
                    )
                })?
                .token
            }
        };
        remote.token = Some(Token(token));
        Ok(Some(remote))
    }

    /// The same before anybody has signed in.
    ///
    /// # Errors
    /// Where the address or the certificates cannot be used.
    pub fn without_token(common: &Common) -> anyhow::Result<Option<Self>> {
        let Some(named) = named(common) else { return Ok(None) };
        let url = address::parse(&named, common.allow_plain_http)?;
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .user_agent(concat!("leasehold/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &common.server_ca {
            let place = || format!("cannot use the certificates in {}", path.display());
            let pem = std::fs::read(path).with_context(place)?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).with_context(place)?;
            if certificates.is_empty() {
                bail!("{} holds no certificate; write one in the PEM form", path.display());
            }
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().context("cannot make a client for the server")?;
        Ok(Some(Self { url, client, token: None }))
    }

    /// Refuses a command that works on the store of this machine only, where a server was named.
    ///
    /// # Errors
    /// Where one was.
    pub fn refuse(common: &Common, command: &str, why: &str) -> anyhow::Result<()> {
        anyhow::ensure!(
            named(common).is_none(),
            "`leasehold {command}` does not work against a server: {why}; run it on the machine that has the store, without \
             --server and LEASEHOLD_SERVER"
        );
        Ok(())
    }

    /// The server's address, as people write it and as its token is kept under.
    pub fn name(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Asks for one thing.
    ///
    /// # Errors
    /// What the server says is wrong, or that it gave no answer.
    pub async fn get<Answer: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> anyhow::Result<Answer> {
        let text = self.call(Method::GET, path, query, Body::Nothing).await?;
        self.read(&text)
    }

    /// The same, where it may not be there: `None` then.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub async fn find<Answer: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> anyhow::Result<Option<Answer>> {
        match self.get(path, query).await {
            Err(error) if is_not_found(&error) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Asks for a text as it is.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub async fn text(&self, path: &[&str], query: &[(&str, String)]) -> anyhow::Result<String> {
        self.call(Method::GET, path, query, Body::Nothing).await
    }

    /// Asks for every page of a list, with what the first one has beside its rows.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub async fn list<Row: DeserializeOwned, Rest: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> anyhow::Result<(Vec<Row>, Rest)> {
        let mut query = query.to_vec();
        query.push(("limit", ROWS.to_owned()));
        let Page { mut items, mut next, rest } = self.get(path, &query).await?;
        while let Some(cursor) = next {
            let mut query = query.clone();
            query.push(("cursor", cursor));
            let page: Page<Row, Nothing> = self.get(path, &query).await?;
            items.extend(page.items);
            next = page.next;
        }
        Ok((items, rest))
    }

    /// Sends something, and reads the answer.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub async fn post<Answer: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        body: Value,
    ) -> anyhow::Result<Answer> {
        let text = self.call(Method::POST, path, query, Body::Json(body)).await?;
        self.read(&text)
    }

    /// Sends a form, and gives the answer as text: for who has no token yet.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub async fn post_form(&self, path: &[&str], fields: &[(&str, &str)]) -> anyhow::Result<String> {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.call(Method::POST, path, &[], Body::Form(form)).await
    }

    /// Puts something in its place, and reads the answer.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub async fn put<Answer: DeserializeOwned>(&self, path: &[&str], body: Value) -> anyhow::Result<Answer> {
        let text = self.call(Method::PUT, path, &[], Body::Json(body)).await?;
        self.read(&text)
    }

    /// Ends something, and reads the answer, which may be none.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub async fn delete<Answer: DeserializeOwned>(&self, path: &[&str]) -> anyhow::Result<Answer> {
        let text = self.call(Method::DELETE, path, &[], Body::Nothing).await?;
        self.read(if text.is_empty() { "{}" } else { &text })
    }

    /// Waits until a task of the server has ended well.
    ///
    /// # Errors
    /// Where it failed or was cancelled, or the server no longer answers: it goes on all the same.
    pub async fn wait(&self, task: &str, progress: &Progress) -> anyhow::Result<Ended> {
        let mut pause = ASK_FIRST;
        loop {
            let ended: Ended = self.get(&["tasks", task], &[]).await.with_context(|| {
                format!(
                    "the server goes on with what it was asked for (task {task}) without anybody watching"
                )
            })?;
            match ended.state.as_str() {
                "done" => return Ok(ended),
                "queued" | "running" => progress.say(ended.state.clone()),
                state => bail!(
                    "the server's task {task} {}: {}",
                    if state == "failed" { "failed" } else { "was cancelled" },
                    ended.error.as_deref().unwrap_or("no cause was given")
                ),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(ASK_AT_LEAST_EVERY);
        }
    }

    fn read<Answer: DeserializeOwned>(&self, text: &str) -> anyhow::Result<Answer> {
        // Nothing of the text is repeated: it may hold a secret that is shown once.
        serde_json::from_str(text).map_err(|error| {
            anyhow::anyhow!(
                "the answer of {} is not what this release of leasehold expects ({:?}, line {}, column {}); compare the \
                 versions of the two",
                self.name(),
                error.classify(),
                error.line(),
                error.column()
            )
        })
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Body,
    ) -> anyhow::Result<String> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.request(method, url);
        if let Some(Token(token)) = &self.token {
            request = request.bearer_auth(token);
        }
        request = match body {
            Body::Nothing => request,
            Body::Json(value) => {
                request.header("content-type", "application/json").body(serde_json::to_vec(&value)?)
            }
            Body::Form(text) => {
                request.header("content-type", "application/x-www-form-urlencoded").body(text)
            }
        };
        let unreachable = |error: reqwest::Error| problem::unreachable(&self.name(), error);
        let until = Instant::now() + LOADED_WITHIN;
        let answer = loop {
            let again = request.try_clone().context("what is sent can be sent once only")?;
            let answer = again.send().await.map_err(unreachable)?;
            // It says when to ask again only where it has done nothing.
            let wait = (answer.status() == StatusCode::SERVICE_UNAVAILABLE)
                .then(|| answer.headers().get("retry-after")?.to_str().ok()?.parse().ok())
                .flatten();
            match wait.map(Duration::from_secs) {
                Some(wait) if Instant::now() + wait < until => tokio::time::sleep(wait).await,
                _ => break answer,
            }
        };
        let status = answer.status();
        let to = answer.headers().get("location").and_then(|to| to.to_str().ok()).map(str::to_owned);
        let text = answer.text().await.map_err(unreachable)?;
        if status.is_success() {
            return Ok(text);
        }
        if status.is_redirection() {
            let to = to.unwrap_or_else(|| "elsewhere".to_owned());
            bail!("{} sends on to {to}; name the address of the server itself with --server", self.name());
        }
        let Some(problem) = Problem::read(status, &text) else {
            bail!("{} answered {status}, and not as a Leasehold server does; check the address", self.name());
        };
        Err(problem.at(&self.name(), self.token.is_some()).into())
    }
}

/// Whether an error is the server's word that there is no such thing.
pub fn is_not_found(error: &anyhow::Error) -> bool {
    problem::of(error).is_some_and(|problem| problem.status == StatusCode::NOT_FOUND.as_u16())
}

/// The word of RFC 8628 or RFC 6749 in the server's answer, where it has one.
pub fn grant_error(error: &anyhow::Error) -> Option<&str> {
    problem::of(error)?.error.as_deref()
}

/// The server that was named: on the command line, where an empty name means none, or else by the environment.
fn named(common: &Common) -> Option<String> {
    match &common.server {
        Some(named) => Some(named.trim().to_owned()).filter(|named| !named.is_empty()),
        None => environment("LEASEHOLD_SERVER"),
    }
}

/// A variable that is set to something.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

//! The SCIM server beside two others in one run: requests for each second of the server's CPU, theirs in memory and ours
//! answered when it lasts.

mod peers;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::measure::{Report, Row, median};
use peers::Server;

/// What is measured, and with what.
#[derive(Args, Clone, Debug)]
pub struct Load {
    /// The product's binary.
    #[arg(long, default_value = "target/release/leasehold")]
    binary: PathBuf,
    /// The program `scim2-server`: `pip install scim2-server==0.8.3`.
    #[arg(long)]
    scim2_server: Option<PathBuf>,
    /// A folder with `npm install scimmy@1.3.5 scimmy-routers@1.3.2 express@5.3.0`.
    #[arg(long)]
    scimmy: Option<PathBuf>,
    /// Node, for scimmy-routers: the program itself, for what a wrapper starts is not measured.
    #[arg(long, default_value = "node")]
    node: PathBuf,
    /// Requests to ours in one round.
    #[arg(long, default_value_t = 20_000)]
    requests: u32,
    /// Requests to each of the others in one round.
    #[arg(long, default_value_t = 1_500)]
    peer_requests: u32,
    /// Connections at once.
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// Rounds, in each of which every server has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// Measures everything.
pub fn run(load: &Load) -> anyhow::Result<Report> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(measure(load))
}

/// A user with what a provider usually sends.
fn user(name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": format!("{name}@example.com"),
        "name": {"givenName": "Given", "familyName": name},
        "displayName": format!("Given {name}"),
        "emails": [{"value": format!("{name}@example.com"), "type": "work", "primary": true}],
        "active": true,
    })
}

/// What a server was asked, and what that cost it.
struct Asked {
    get: Vec<f64>,
    post: Vec<f64>,
}

async fn measure(load: &Load) -> anyhow::Result<Report> {
    // Whoever builds a client has said who encrypts; nothing here is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let binary = load.binary.canonicalize().with_context(|| {
        format!("{} is not there; `cargo build --release -p leasehold` makes it", load.binary.display())
    })?;
    let folder = tempfile::tempdir()?;
    let mut servers = vec![peers::leasehold(&binary, folder.path()).await?];
    let mut report = Report::new(format!("{} connections, {} rounds", load.connections, load.rounds));
    match &load.scim2_server {
        Some(program) => servers.push(peers::scim2_server(program).await?),
        None => {
            report.push(Row::not_measured("SCIM", "scim2-server", "name its program with --scim2-server"))
        }
    }
    match &load.scimmy {
        Some(folder) => servers.push(peers::scimmy(&load.node, &folder.canonicalize()?).await?),
        None => report.push(Row::not_measured("SCIM", "scimmy-routers", "name its folder with --scimmy")),
    }
    let mut asked: Vec<Asked> = servers.iter().map(|_| Asked { get: Vec::new(), post: Vec::new() }).collect();
    for round in 0..=load.rounds.max(1) {
        for (server, asked) in servers.iter().zip(&mut asked) {
            let requests =
                if server.name.starts_with("leasehold") { load.requests } else { load.peer_requests };
            let requests = (requests / load.connections).max(1);
            let (ids, post) = posts(server, load.connections, requests, round).await?;
            let get = gets(server, load.connections, requests, &Arc::new(ids)).await?;
            // What the first round costs is how long somebody takes to get warm.
            if round > 0 {
                asked.post.push(post);
                asked.get.push(get);
            }
        }
    }
    rows(&servers, &asked, &mut report);
    Ok(report)
}

fn rows(servers: &[Server], asked: &[Asked], report: &mut Report) {
    type Rates = fn(&Asked) -> &Vec<f64>;
    let verbs: [(&str, Rates, f64, &str); 2] = [
        ("GET /Users/ID", |asked| &asked.get, 30.0, "at least 30"),
        ("POST /Users", |asked| &asked.post, 15.0, "at least 15"),
    ];
    for (verb, rates, goal, words) in verbs {
        for (server, asked) in servers.iter().zip(asked) {
            report.push(
                Row::new(verb, server.name).figure(median(rates(asked).clone()), "requests a CPU second"),
            );
        }
        for (server, peer) in servers.iter().zip(asked).skip(1) {
            let ratios = rates(&asked[0]).iter().zip(rates(peer)).map(|(ours, theirs)| ours / theirs);
            let ratio = median(ratios.collect());
            report
                .push(Row::new(verb, servers[0].name).ratio(ratio, server.name).at_least(ratio, goal, words));
        }
    }
}

/// Makes users as fast as answers come; returns their ids and names, and the requests a CPU second.
async fn posts(
    server: &Server,
    connections: u32,
    requests: u32,
    round: u32,
) -> anyhow::Result<(Vec<(String, String)>, f64)> {
    let before = server.process.cpu_seconds()?;
    let mut running = JoinSet::new();
    for connection in 0..connections {
        let (client, url) = (server.client.clone(), server.users.clone());
        running.spawn(async move {
            let mut made = Vec::with_capacity(requests as usize);
            for number in 0..requests {
                let name = format!("user-{round}-{connection}-{number}");
                let answer = client.post(&url).body(user(&name).to_string()).send().await?;
                let status = answer.status();
                let text = answer.text().await?;
                anyhow::ensure!(status == 201, "POST is answered {status}: {text}");
                let resource: Value = serde_json::from_str(&text)?;
                let id = resource["id"].as_str().context("a user without an id")?.to_owned();
                made.push((id, format!("{name}@example.com")));
            }
            Ok(made)
        });
    }
    let mut made = Vec::new();
    while let Some(ended) = running.join_next().await {
        made.extend(ended??);
    }
    Ok((made, rate(server, connections * requests, before)?))
}

/// Asks for users as fast as answers come; returns the requests a CPU second.
async fn gets(
    server: &Server,
    connections: u32,
    requests: u32,
    users: &Arc<Vec<(String, String)>>,
) -> anyhow::Result<f64> {
    let before = server.process.cpu_seconds()?;
    let mut running = JoinSet::new();
    for connection in 0..connections {
        let (client, url, users) = (server.client.clone(), server.users.clone(), users.clone());
        running.spawn(async move {
            for number in 0..requests {
                let at = (connection as usize + 1).wrapping_mul(number as usize * 2 + 1).wrapping_mul(40_503);
                let (id, name) = &users[at % users.len()];
                let answer = client.get(format!("{url}/{id}")).send().await?;
                let status = answer.status();
                let text = answer.text().await?;
                anyhow::ensure!(
                    status == 200 && text.contains(name.as_str()),
                    "GET is answered {status}: {text}"
                );
            }
            Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    rate(server, connections * requests, before)
}

/// Requests for each second of CPU that the server has spent since it had spent `before`.
fn rate(server: &Server, requests: u32, before: f64) -> anyhow::Result<f64> {
    let spent = server.process.cpu_seconds()? - before;
    anyhow::ensure!(
        spent > 0.1,
        "{} spent {spent} s on {requests} requests: too little to measure, or done by a process that it started",
        server.name
    );
    Ok(f64::from(requests) / spent)
}

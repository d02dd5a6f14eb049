//! The servers that are compared: ours, which is durable, and two that keep everything in memory.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use super::super::serve::process::{Process, run};

const TOKEN: &str = "bench-token";
const PATIENCE: Duration = Duration::from_secs(120);

/// A server with a client that may push to it.
pub struct Server {
    /// Its name in the report.
    pub name: &'static str,
    /// It, while it runs.
    pub process: Process,
    /// Where its users are.
    pub users: String,
    /// A client with its token.
    pub client: reqwest::Client,
}

fn client(token: &str) -> anyhow::Result<reqwest::Client> {
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert(reqwest::header::AUTHORIZATION, format!("Bearer {token}").parse()?);
    headers.insert(reqwest::header::CONTENT_TYPE, "application/scim+json".parse()?);
    Ok(reqwest::Client::builder().default_headers(headers).timeout(Duration::from_secs(120)).build()?)
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Ours, over a store of its own on the disk.
pub async fn leasehold(binary: &Path, folder: &Path) -> anyhow::Result<Server> {
    let system = "[system.people]\nconnector = \"scim_push\"\nauthoritative = true\n";
    std::fs::write(folder.join("leasehold.toml"), system)?;
    run(binary, folder, &["user", "add", "load@example.com", "--role", "administrator"])?;
    let token = run(binary, folder, &["token", "create", "--scope", "scim", "--system", "people"])?;
    let process = Process::leasehold(binary, folder)?;
    let client = client(&token)?;
    process.wait_for(&client, "/scim/v2/Users?count=1", PATIENCE).await?;
    Ok(Server {
        name: "leasehold, durable",
        users: format!("{}/scim/v2/Users", process.url),
        process,
        client,
    })
}

/// The program `scim2-server` of PyPI.
pub async fn scim2_server(program: &Path) -> anyhow::Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--bearer-token", TOKEN]);
    let process = Process::at(command, format!("http://127.0.0.1:{port}"))?;
    let client = client(TOKEN)?;
    process.wait_for(&client, "/v2/Users?count=1", PATIENCE).await?;
    Ok(Server { name: "scim2-server", users: format!("{}/v2/Users", process.url), process, client })
}

/// `scimmy-routers` of npm, in a folder that has it in `node_modules`.
pub async fn scimmy(node: &Path, folder: &Path) -> anyhow::Result<Server> {
    let script = folder.join("bench-scimmy.mjs");
    std::fs::write(&script, include_str!("scimmy.mjs")).context("writing the script")?;
    let port = free_port()?;
    let mut command = Command::new(node);
    command.arg(&script).args([&port.to_string(), TOKEN]);
    let process = Process::at(command, format!("http://127.0.0.1:{port}"))?;
    let client = client(TOKEN)?;
    process.wait_for(&client, "/scim/Users?count=1", PATIENCE).await?;
    Ok(Server { name: "scimmy-routers", users: format!("{}/scim/Users", process.url), process, client })
}

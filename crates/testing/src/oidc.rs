//! A real OpenID provider (`oidc-provider` for Node.js) on loopback, with people of its own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use crate::process::{self, ServerProcess};
use crate::tools;

/// What the client is called at the provider.
pub const CLIENT: &str = "leasehold";

/// What the client shows there that it is itself.
pub const CLIENT_SECRET: &str = "planted-7d40-client-secret";

/// Long enough for a slow machine.
const LIMIT: Duration = Duration::from_secs(120);

/// The provider. Olga is in the groups `leasehold-admins` and `staff`, Ada in `staff`; Eve claims an address that
/// nobody has seen to be hers, and Dana has one that somebody else may have elsewhere.
#[derive(Debug)]
pub struct OpenIdProvider {
    process: ServerProcess,
    port: u16,
}

impl OpenIdProvider {
    /// Starts it for one client, the server at `url`.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(port: u16, url: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc/provider.mjs");
        let folder = process::new_folder("oidc");
        let settings = [
            format!("LEASEHOLD_NPM={}", tools::folder().join("npm").display()),
            format!("LEASEHOLD_PROVIDER_PORT={port}"),
            format!("LEASEHOLD_PROVIDER_SECRET={CLIENT_SECRET}"),
            format!("LEASEHOLD_URL={url}"),
        ];
        let mut command = vec!["env".into()];
        command.extend(settings.map(Into::into));
        command.push(tools::program("node").into());
        command.push(script.into());
        let process = ServerProcess::start(&folder, &command);
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        process.wait_until_ready(LIMIT, || process::listens(here, port));
        Self { process, port }
    }

    /// Its name, which is where it answers.
    pub fn issuer(&self) -> String {
        issuer(self.port)
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// The name of a provider at a port.
pub fn issuer(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

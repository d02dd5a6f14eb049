//! `leasehold serve`: the loop that runs by itself, and the port for people and programs.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use leasehold_reconcile::driver::{Driver, DriverHandle, DriverSettings};
use leasehold_reconcile::pace::Patience;
use leasehold_reconcile::publisher::Publisher;
use leasehold_web::{SealKey, Server, Settings, setup_link};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use url::Url;

use crate::Outcome;
use crate::config::Config;
use crate::context::{Common, Context, signing_key};
use crate::logging::{LogFormat, Logging, SERVER_FILTER};
use crate::output;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Where to listen, instead of what leasehold.toml says; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The form of the log on standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    log_format: LogFormat,
}

impl Serve {
    /// How a server tells what it does.
    pub fn logging(&self) -> Logging {
        Logging { filter: SERVER_FILTER, format: self.log_format }
    }

    /// Serves until it is told to stop.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let config = Config::load(&common.config)?;
        // First of all: whoever connects from now on waits for an answer and is not turned away.
        let listen = self.listen.unwrap_or(config.server.listen);
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}; name another address with --listen"))?;
        let url = config.server.url(listener.local_addr()?)?;
        let tls = config.server_tls()?;
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut context = Context::open_to_change(common).await?;
        let driver = driver(&mut context)?;
        let (stop, stopping) = watch::channel(false);
        output::line(format!("leasehold serves {url}"))?;
        tracing::info!(%url, listen = %listener.local_addr()?, process = driver.handle().process(), "serving");
        let told = tokio::spawn(until_told(terminate, interrupt, stop.clone()));
        if let Some(link) = setup_link(&context.store, &url, context.now()).await? {
            output::line(format!("nobody can sign in yet; this link makes the first administrator: {link}"))?;
        }
        let server = face(&context, driver.handle(), url)?;
        let mut told_to_stop = stopping.clone();
        let until_stopped = async move {
            let _ = told_to_stop.wait_for(|stopping| *stopping).await;
        };
        let served = async {
            let served = leasehold_web::serve(listener, tls, server, until_stopped).await;
            // Also where it failed: nothing goes on unseen.
            stop.send_replace(true);
            served
        };
        let ((), served) = tokio::join!(driver.run(stopping.clone()), served);
        told.abort();
        context.store.close().await;
        tracing::info!("stopped");
        served?;
        Ok(Outcome::Clean)
    }
}

/// The loop of this process.
fn driver(context: &mut Context) -> anyhow::Result<Driver> {
    let systems = context.connect_all()?;
    let config = &context.config;
    let publisher = Publisher {
        store: context.store.clone(),
        directory: config.ledger.clone(),
        origin: config.ledger_origin.clone(),
        key: Arc::new(signing_key(config)?),
    };
    let settings =
        DriverSettings { takeover_after_ms: config.server.takeover_after_ms, ..DriverSettings::default() };
    Ok(Driver::new(
        context.store.clone(),
        systems,
        context.pace.clone(),
        Patience::default(),
        Some(publisher),
        settings,
    ))
}

/// What people and programs see.
fn face(context: &Context, driver: DriverHandle, url: Url) -> anyhow::Result<Server> {
    let config = &context.config;
    let seal_key =
        SealKey::at(&config.server.key).context("the key that seals second factors cannot be used")?;
    let settings = Settings {
        url,
        trusted_proxies: config.server.trusted_proxies.clone(),
        seal_key,
        system_owners: config.owners()?,
    };
    Ok(Server { driver, pace: context.pace.clone(), settings })
}

/// Waits for SIGTERM or SIGINT, and says so. A second one ends the process at once: nothing is lost by that either.
async fn until_told(mut terminate: Signal, mut interrupt: Signal, stop: watch::Sender<bool>) {
    let mut told = async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
    told().await;
    tracing::info!("stopping; what is running may end, a second signal ends it at once");
    stop.send_replace(true);
    told().await;
    tracing::warn!("stopped at once; what was interrupted is taken up after the restart");
    std::process::exit(1)
}

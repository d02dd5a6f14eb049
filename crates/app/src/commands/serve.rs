//! `leasehold serve`: the loop that runs by itself, and the port for people and programs.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use leasehold_reconcile::driver::{Driver, DriverSettings};
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
use crate::live_configuration::LiveConfiguration;
use crate::logging::{LogFormat, Logging, SERVER_FILTER};
use crate::output;
use crate::traces::Traces;

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
        let stop = Stop::at_signal()?;
        let context = Context::open_to_change(common).await?;
        output::line(format!("leasehold serves {url}"))?;
        if let Some(link) = setup_link(&context.store, &url, context.now()).await? {
            output::line(format!(
                "there is no user yet; whoever opens this address within a day becomes the first administrator:\n  {link}"
            ))?;
        }
        serve(context, listener, url, stop).await
    }
}

/// The spans of a server, as leasehold.toml and the environment say.
///
/// # Errors
/// Where the file or the collector's address cannot be used.
pub fn traces(common: &Common) -> anyhow::Result<Option<Traces>> {
    let config = Config::load(&common.config)?;
    Traces::begin(&config.server.traces).context("traces cannot be sent as it is said")
}

/// The signals that end a server.
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Listens for them from now on.
    ///
    /// # Errors
    /// Where the system has no signals to give.
    pub fn at_signal() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for SIGTERM or SIGINT, and says so. A second one ends the process at once: nothing is lost by that either.
    async fn wait(mut self, stop: watch::Sender<bool>) {
        let mut told =
            async || tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} };
        told().await;
        tracing::info!("stopping; what is running may end, a second signal ends it at once");
        stop.send_replace(true);
        told().await;
        tracing::warn!("stopped at once; what was interrupted is taken up after the restart");
        std::process::exit(1)
    }
}

/// Runs the loop and answers people and programs until told to stop.
pub async fn serve(
    mut context: Context,
    listener: TcpListener,
    url: Url,
    told: Stop,
) -> anyhow::Result<Outcome> {
    let tls = context.config.server_tls()?;
    let driver = driver(&mut context)?;
    let settings = settings(&context.config, url.clone())?;
    let configuration = LiveConfiguration::new(&context.config, driver.handle(), &settings);
    let authority = context.config.authority()?;
    let (stop, mut stopping) = watch::channel(false);
    tracing::info!(%url, listen = %listener.local_addr()?, process = driver.handle().process(), "serving");
    let told = tokio::spawn(told.wait(stop.clone()));
    let server = Server {
        driver: driver.handle(),
        pace: context.pace.clone(),
        settings,
        authority,
        connections: configuration.clone(),
    };
    let driven = stopping.clone();
    let followed = configuration.follow(stopping.clone());
    let served = async {
        let until = async {
            let _ = stopping.wait_for(|stopping| *stopping).await;
        };
        let served = leasehold_web::serve(listener, tls, server, until).await;
        // Also where it failed: nothing goes on unseen.
        stop.send_replace(true);
        served
    };
    let ((), (), served) = tokio::join!(driver.run(driven), followed, served);
    told.abort();
    context.store.close().await;
    tracing::info!("stopped");
    served?;
    Ok(Outcome::Clean)
}

/// What the server of people and programs needs to know.
fn settings(config: &Config, url: Url) -> anyhow::Result<Settings> {
    let seal_key = config.seal_key();
    Ok(Settings {
        url,
        trusted_proxies: config.server.trusted_proxies.clone(),
        seal_key: SealKey::at(&seal_key)
            .with_context(|| format!("the key {} cannot be used", seal_key.display()))?,
        system_owners: config.owners()?.into(),
        notice_secrets: config.notice_secrets()?.into(),
        openid: config.openid()?,
        webhooks: config.server.webhooks.clone(),
    })
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

//! The server: its settings, the router with everything around the routes, and the loop that takes connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::connect_info::ConnectInfo;
use axum::http::{Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Either};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use ipnet::IpNet;
use leasehold_decide::authority::Authority;
use leasehold_reconcile::driver::DriverHandle;
use leasehold_reconcile::pace::SharedPace;
use leasehold_reconcile::trace::SPANS;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;
use tower::{Service as _, ServiceBuilder};
use tower_http::compression::CompressionLayer;
use url::Url;

use crate::access::{self, Door};
use crate::api::idempotency;
use crate::connection_threads::{ConnectionThreads, Within};
use crate::connections::Connections;
use crate::error::WebError;
use crate::owners::SystemOwners;
use crate::route::Face;
use crate::routes::routes;
use crate::scim::Short;
use crate::seal::SealKey;
use crate::sign_in::openid::OpenIdSettings;
use crate::sign_in::session::IDLE;
use crate::state::App;
use crate::webhook::WebhookSettings;
use crate::webhook::deliverer::Deliverer;
use crate::webhook::notice::NoticeSecrets;
use crate::{edge, trace, trend};

/// A client that does not send its headers in this time is cut off.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// What has expired counts no more from that instant on; it is cleared away this often.
const TIDY_EVERY: Duration = Duration::from_secs(600);
/// What was counted is summed up this often.
const SUM_UP_EVERY: Duration = Duration::from_secs(5);
/// What is being answered when the server stops has this long.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What a server is made of.
pub struct Server {
    /// The loop, which has the store and the present state.
    pub driver: DriverHandle,
    /// Where "now" comes from.
    pub pace: SharedPace,
    /// How it is set up.
    pub settings: Settings,
    /// Who may do what.
    pub authority: Authority,
    /// Connects systems.
    pub connections: Arc<dyn Connections>,
}

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address that people and programs use, without a path: it decides about cookies, https and links.
    pub url: Url,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What must be read again later, but not by whoever reads the store, is sealed with it.
    pub seal_key: SealKey,
    /// Who owns which system.
    pub system_owners: SystemOwners,
    /// What systems sign their notices with.
    pub notice_secrets: NoticeSecrets,
    /// The OpenID provider that people may sign in by.
    pub openid: Option<OpenIdSettings>,
    /// Where webhooks may lead.
    pub webhooks: WebhookSettings,
}

impl Settings {
    /// Whether browsers reach the server by https, directly or by a proxy.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The origin as browsers name it.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The listener failed.
    #[error("the listener failed: {0}; check that the address is free and this machine's")]
    Listener(#[from] std::io::Error),
    /// There are no threads for connections.
    #[error("no threads for connections: {0}; check how many threads and files this user may have")]
    Threads(std::io::Error),
}

/// Everything that answers requests, without connections. Within the runtime in which what takes longer is to be done.
pub fn router(server: Server) -> Router {
    Router::new().fallback_service(Routes::of(&App::new(server)))
}

/// Everything that a request passes, around the routes of the registry.
fn assembled(app: App) -> Router {
    let mut router = Router::new();
    for route in routes() {
        let door = Door { app: app.clone(), access: route.access, face: route.face };
        let handler = route.handler.method_router();
        let door = from_fn_with_state(door, access::check);
        let handler = match route.face {
            // One stack of layers is cloned with a request as a whole; layers put on one by one would each be cloned with all
            // those below, and cost more than most answers.
            Face::Api if route.method != Method::GET => {
                let once = from_fn_with_state(app.clone(), idempotency::answer_once);
                handler.route_layer(ServiceBuilder::new().layer(door).layer(once))
            }
            Face::Api | Face::Page | Face::Scim => handler.route_layer(door),
        };
        router = router.route(route.path, handler);
    }
    let traced = is_traced().then(|| from_fn_with_state(app.clone(), trace::follow));
    // The first is the outermost. What every request needs is one step of ours, not one for each: every step clones those
    // below it.
    let around =
        ServiceBuilder::new().option_layer(traced).layer(from_fn_with_state(app.clone(), edge::pass));
    router.fallback(nothing_here).layer(around).with_state(app)
}

/// Whether anybody collects traces, which is known when the server begins.
fn is_traced() -> bool {
    tracing::span_enabled!(target: SPANS, tracing::Level::INFO)
}

async fn nothing_here() -> WebError {
    WebError::NotFound("this address".to_owned())
}

/// Serves until `shutdown` ends, and then for as long as what is being answered takes, up to a limit. With `tls` every
/// connection is encrypted; without, that is a proxy's work, or the address is this machine's own.
///
/// # Errors
/// [`ServerError`].
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    server: Server,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let mut threads = ConnectionThreads::begin().map_err(ServerError::Threads)?;
    let app = App::new(server);
    let routes = Routes::of(&app);
    let trend = trend::keep(app.driver.clone(), app.pace.clone());
    let trend = tokio::spawn(trend);
    let delivering = tokio::spawn(deliverer(&app).run(app.live.subscribe(), app.stopping.subscribe()));
    let graceful = GracefulShutdown::new();
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(128);
    let tls = tls.map(TlsAcceptor::from);
    let tidying = tokio::spawn(tidy(app.clone()));
    let summing_up = tokio::spawn(sum_up(app.clone()));
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or a connection that ended before it began: others go on.
                tracing::warn!(%error, "a connection was not taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Answers are small and written whole.
        let _ = stream.set_nodelay(true);
        let (tls, builder, watcher) = (tls.clone(), builder.clone(), graceful.watcher());
        let service = of_peer(routes.clone(), peer);
        let stream = stream.into_std();
        threads.spawn(async move {
            let stream = match stream.and_then(TcpStream::from_std) {
                Ok(stream) => stream,
                Err(error) => return tracing::warn!(%error, %peer, "a connection was not taken"),
            };
            let ended = match tls {
                None => answer(&builder, stream, service, watcher).await,
                Some(tls) => match tokio::time::timeout(HEADERS_WITHIN, tls.accept(stream)).await {
                    Ok(Ok(stream)) => answer(&builder, stream, service, watcher).await,
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err("the client did not finish the TLS handshake in time".to_owned()),
                },
            };
            if let Err(error) = ended {
                tracing::debug!(%error, %peer, "a connection ended early");
            }
        });
    }
    drop(listener);
    app.stopping.send_replace(true);
    trend.abort();
    summing_up.abort();
    if tokio::time::timeout(STOP_WITHIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some answers were cut off: they took too long after the stop");
    }
    // They hold the store, which whoever started the server may close next.
    let _ = tokio::join!(tidying, delivering);
    Ok(())
}

/// What sends to webhooks in this process.
fn deliverer(app: &App) -> Deliverer {
    let (store, pace) = (app.store.clone(), app.pace.clone());
    let Settings { seal_key, webhooks, .. } = &app.settings;
    Deliverer::new(store, pace, seal_key.clone(), webhooks.clone(), app.driver.process())
}

/// Sums up what was counted, for ever.
async fn sum_up(app: App) {
    loop {
        tokio::time::sleep(SUM_UP_EVERY).await;
        app.metrics.sum_up();
    }
}

/// Clears away sessions, links and counts that time has ended, now and then until the server stops.
async fn tidy(app: App) {
    let mut stopping = app.stopping.subscribe();
    loop {
        let now = app.now();
        if let Err(error) = app.store.forget_expired_sign_ins(now - IDLE, now).await {
            tracing::warn!(%error, "what has expired could not be cleared away");
        }
        tokio::select! {
            () = tokio::time::sleep(TIDY_EVERY) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
    }
}

/// Answers what comes over one connection, to its end.
async fn answer<Stream, Answering>(
    builder: &Builder<TokioExecutor>,
    stream: Stream,
    service: Answering,
    watcher: Watcher,
) -> Result<(), String>
where
    Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    Answering: hyper::service::Service<
            hyper::Request<hyper::body::Incoming>,
            Response = Response,
            Error = Infallible,
            Future: Send + 'static,
        > + Send
        + 'static,
{
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    watcher.watch(connection).await.map_err(|error| error.to_string())
}

/// What answers requests, and where that is done.
#[derive(Clone)]
struct Routes {
    app: App,
    plain: Router,
    /// The same with answers compressed for who takes it so.
    compressed: Router,
    is_traced: bool,
    runtime: Handle,
}

impl Routes {
    /// Within the runtime that asks for it.
    fn of(app: &App) -> Self {
        let plain = assembled(app.clone());
        Self {
            app: app.clone(),
            compressed: plain.clone().layer(CompressionLayer::new()),
            plain,
            is_traced: is_traced(),
            runtime: Handle::current(),
        }
    }

    /// Answers: at once what takes about as long as handing it over, and the rest within the server's runtime, until nobody waits
    /// for it any more.
    fn answer(&self, request: Request) -> impl Future<Output = Result<Response, Infallible>> + Send + use<> {
        if let Some(short) = Short::of(&request).filter(|_| !self.is_traced) {
            let answering = Box::pin(short.answer(self.app.clone(), request));
            return Either::Left(Within::new(self.runtime.clone(), answering).map(Ok));
        }
        let takes_compressed = request.headers().contains_key(header::ACCEPT_ENCODING);
        let mut router = if takes_compressed { self.compressed.clone() } else { self.plain.clone() };
        let answering = AbortOnDropHandle::new(self.runtime.spawn(router.call(request)));
        Either::Right(answering.map(|answered| match answered {
            Ok(answered) => answered,
            // What a handler does wrong is caught within: this is the end of the runtime, or of what finds out who asks.
            Err(error) => {
                tracing::error!(%error, "a request was not answered");
                Ok(StatusCode::SERVICE_UNAVAILABLE.into_response())
            }
        }))
    }
}

impl tower::Service<Request> for Routes {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.answer(request).boxed()
    }
}

/// The routes for one connection, with the peer's address beside each request.
fn of_peer(
    routes: Routes,
    peer: SocketAddr,
) -> impl hyper::service::Service<
    hyper::Request<hyper::body::Incoming>,
    Response = Response,
    Error = Infallible,
    Future: Send + 'static,
> + Clone {
    hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        routes.answer(request.map(Body::new))
    })
}

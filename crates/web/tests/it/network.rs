//! The server on a real socket: it answers, and stops without cutting off what it is answering.

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_decide::authority::Authority;
use leasehold_model::clock::{Clock as _, SystemClock};
use leasehold_reconcile::driver::{Driver, DriverSettings};
use leasehold_reconcile::pace::Patience;
use leasehold_store::{NewUser, Store, StoreOptions};
use leasehold_web::{
    NoConnections, NoticeSecrets, SealKey, Server, Settings, SystemOwners, WebhookSettings, create_token,
    serve,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

fn server(store: Store) -> Server {
    let clock = Arc::new(SystemClock::default());
    let driver = Driver::new(
        store,
        BTreeMap::new(),
        clock.clone(),
        Patience::default(),
        None,
        DriverSettings::default(),
    );
    let settings = Settings {
        url: "http://127.0.0.1:1".parse().expect("an address"),
        trusted_proxies: Vec::new(),
        seal_key: SealKey::generate().expect("a key"),
        system_owners: SystemOwners::default(),
        notice_secrets: NoticeSecrets::default(),
        openid: None,
        webhooks: WebhookSettings::default(),
    };
    Server {
        driver: driver.handle(),
        pace: clock,
        settings,
        authority: Authority::shipped().expect("they fit"),
        connections: Arc::new(NoConnections),
    }
}

#[tokio::test]
async fn a_stream_of_events_ends_when_the_server_stops() {
    let store = Store::open("sqlite::memory:", StoreOptions::default()).await.expect("opens");
    let new = NewUser {
        mail: "dana@example.com".to_owned(),
        name: "Dana".to_owned(),
        roles: vec!["auditor".to_owned()],
        password_hash: None,
        password_alone: false,
    };
    let now = SystemClock::default().now();
    let user = store.create_user(&new, "test", now).await.expect("a user");
    let token = create_token(&store, &user, "test", &["read".to_owned()], None, 1, "test", now)
        .await
        .expect("a token");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, None, server(store), async {
        let _ = stopped.await;
    }));
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let head =
        format!("GET /api/v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", token.secret);
    stream.write_all(head.as_bytes()).await.expect("sends");
    let mut told = String::new();
    while !told.contains("event: listening") {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).await.expect("is told");
        assert!(count > 0, "ended early: {told}");
        told += &String::from_utf8_lossy(&bytes[..count]);
    }
    stop.send(()).expect("is running");
    stream.read_to_string(&mut told).await.expect("to its end");
    assert!(told.ends_with("0\r\n\r\n"), "cut off instead of ended: {told}");
    serving.await.expect("runs").expect("stops well");
}

#[tokio::test]
async fn it_answers_and_stops_after_what_it_is_answering() {
    let store = Store::open("sqlite::memory:", StoreOptions::default()).await.expect("opens");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, None, server(store), async {
        let _ = stopped.await;
    }));
    let mut kept = TcpStream::connect(address).await.expect("connects");
    kept.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sends");
    let mut answer = vec![0; 12];
    kept.read_exact(&mut answer).await.expect("answers");
    assert_eq!(answer, b"HTTP/1.1 200");
    // A request is half sent when the server is told to stop: it is answered to its end.
    let mut half = TcpStream::connect(address).await.expect("connects");
    half.write_all(b"POST /theme HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n")
        .await
        .expect("sends");
    half.write_all(b"content-length: 10\r\nexpect: 100-continue\r\n\r\n").await.expect("sends");
    // The server has read the head once it says that it wants the rest.
    let mut more = vec![0; 25];
    half.read_exact(&mut more).await.expect("is told to go on");
    assert!(more.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&more));
    stop.send(()).expect("is running");
    half.write_all(b"theme=dark").await.expect("sends the rest");
    let mut rest = String::new();
    half.read_to_string(&mut rest).await.expect("answers");
    assert!(rest.starts_with("HTTP/1.1 303"), "{rest}");
    serving.await.expect("runs").expect("stops well");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

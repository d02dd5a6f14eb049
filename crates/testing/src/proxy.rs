//! A TCP proxy in front of a real server, which makes it refuse, be slow, say nothing at all, break off in the middle of an answer,
//! say that it did what it did not, do what it never says, or, where it speaks HTTP, ask for patience.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::between::{last_on_its_connection, read_message};
use crate::lie::{Lie, Way};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// How the server behaves, seen through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As it is.
    Pass,
    /// Everything that is said, in both directions, arrives that much later.
    Delay(Duration),
    /// Nobody listens: connecting is refused.
    Refuse,
    /// Connections are accepted, and what is said is swallowed without an answer.
    Silent,
    /// Requests go through; each connection breaks after that many bytes of the answers.
    Half(usize),
    /// Over HTTP: that many requests are told to come again in a second, then everything passes.
    Limit(u32),
    /// Every change is said to be made and never is, as [`Proxy::start_lying`] was told.
    Lie,
    /// Every change is made, and the connection breaks before anybody hears of it; whoever lies knows what a change is.
    Lose,
}

impl Manner {
    /// What becomes of changes, where it is not what was asked for.
    fn way(self) -> Option<Way> {
        match self {
            Self::Lie => Some(Way::Undone),
            Self::Lose => Some(Way::Unanswered),
            _ => None,
        }
    }
}

/// A running proxy. Dropping it breaks every connection through it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
    /// Bound and never listening, so that nobody else gets the port while connections are refused.
    _holder: Socket,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    lie: Option<Lie>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    /// Requests that were told to come again.
    put_off: u32,
    /// Both ends of every connection, to break them.
    open: Vec<TcpStream>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP));
    let socket = socket.expect("make a socket");
    socket.set_reuse_address(true).expect("share the address with the listener");
    socket.bind(&address.into()).expect("bind the proxy's port");
    socket
}

impl Proxy {
    /// Starts a proxy that passes everything on, on a free port of the address that the server has: its certificate goes on
    /// naming where it is reached.
    ///
    /// # Panics
    /// Where no port is free.
    pub fn start(upstream: SocketAddr) -> Self {
        Self::start_with(upstream, None)
    }

    /// The same, and it knows how the server would lie.
    ///
    /// # Panics
    /// As [`Proxy::start`].
    pub fn start_lying(upstream: SocketAddr, lie: Lie) -> Self {
        Self::start_with(upstream, Some(lie))
    }

    fn start_with(upstream: SocketAddr, lie: Option<Lie>) -> Self {
        let holder = bound((upstream.ip(), 0).into());
        let address = holder.local_addr().expect("the proxy's address").as_socket();
        let state = Mutex::new(State { manner: Manner::Pass, put_off: 0, open: Vec::new() });
        let mut proxy = Self {
            address: address.expect("an internet address"),
            shared: Arc::new(Shared { upstream, lie, state }),
            accepting: None,
            _holder: holder,
        };
        proxy.listen();
        proxy
    }

    /// Where the proxy listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Another manner from now on. What is connected is broken off.
    ///
    /// # Panics
    /// Where the port cannot be listened on again, or it is to lie and was not told how.
    pub fn set(&mut self, manner: Manner) {
        assert!(
            manner.way().is_none() || self.shared.lie.is_some(),
            "nobody said what a change is to this server"
        );
        self.stop();
        let mut state = self.shared.state();
        (state.manner, state.put_off) = (manner, 0);
        drop(state);
        if manner != Manner::Refuse {
            self.listen();
        }
    }

    fn listen(&mut self) {
        let socket = bound(self.address);
        socket.listen(BACKLOG).expect("listen on the proxy's port");
        let listener = TcpListener::from(socket);
        let shared = Arc::clone(&self.shared);
        self.accepting = Some(std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                // Refusing is also what tells this loop to end, by one last connection.
                if shared.state().manner == Manner::Refuse {
                    return;
                }
                serve(&shared, client);
            }
        }));
    }

    fn stop(&mut self) {
        self.shared.state().manner = Manner::Refuse;
        if let Some(accepting) = self.accepting.take() {
            let _ = TcpStream::connect(self.address);
            let _ = accepting.join();
        }
        for connection in self.shared.state().open.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Joins a client with the server, as the manner says at this instant.
fn serve(shared: &Arc<Shared>, client: TcpStream) {
    let mut state = shared.state();
    let by_request = match state.manner {
        Manner::Limit(_) => true,
        Manner::Lie | Manner::Lose => shared.lie.as_ref().is_some_and(Lie::is_over_http),
        _ => false,
    };
    if by_request {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || answer(&shared, client));
        return;
    }
    let (there, back) = match state.manner {
        Manner::Delay(delay) => (Pump { delay, ..Pump::default() }, Pump { delay, ..Pump::default() }),
        Manner::Half(bytes) => (Pump::default(), Pump { bytes_max: Some(bytes), ..Pump::default() }),
        Manner::Pass | Manner::Limit(_) | Manner::Lie | Manner::Lose => (Pump::default(), Pump::default()),
        Manner::Refuse => return,
        Manner::Silent => {
            if let Ok(kept) = client.try_clone() {
                state.open.push(kept);
                std::thread::spawn(move || std::io::copy(&mut &client, &mut std::io::sink()));
            }
            return;
        }
    };
    // A server that is gone looks so through the proxy too.
    let Ok(server) = TcpStream::connect(shared.upstream) else { return };
    let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else { return };
    let (Ok(kept_client), Ok(kept_server)) = (client.try_clone(), server.try_clone()) else { return };
    // Small answers must not wait for acknowledgements that come later still.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    state.open.extend([kept_client, kept_server]);
    if let Some(way) = state.manner.way() {
        drop(state);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || shared.lie.as_ref().map(|lie| lie.converse(way, &client, &server)));
        return;
    }
    drop(state);
    std::thread::spawn(move || there.run(from_client, server));
    std::thread::spawn(move || back.run(from_server, client));
}

/// Answers one request over HTTP, which is the only one on its connection.
fn answer(shared: &Shared, mut client: TcpStream) {
    let request = read_message(&mut client);
    let mut state = shared.state();
    let own = match state.manner {
        Manner::Limit(requests) if state.put_off < requests => {
            state.put_off += 1;
            Some("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n".to_owned())
        }
        Manner::Lie | Manner::Lose => shared.lie.as_ref().and_then(|lie| lie.answer(&request)),
        _ => None,
    };
    let is_lost = state.manner == Manner::Lose && own.is_some();
    drop(state);
    let ask = || {
        let mut server = TcpStream::connect(shared.upstream).ok()?;
        server.write_all(&request).ok()?;
        Some(read_message(&mut server))
    };
    if is_lost {
        let _ = ask();
        return;
    }
    let answer = own.map(String::into_bytes).or_else(ask);
    // The client may have left.
    let _ = client.write_all(&last_on_its_connection(&answer.unwrap_or_default()));
}

/// One direction of a connection.
#[derive(Debug, Clone, Copy, Default)]
struct Pump {
    delay: Duration,
    bytes_max: Option<usize>,
}

impl Pump {
    fn run(self, mut from: TcpStream, mut to: TcpStream) {
        let mut left = self.bytes_max;
        let mut buffer = [0; 16 * 1024];
        while left != Some(0) {
            match from.read(&mut buffer) {
                // Who has nothing more to say may still want the answer.
                Ok(0) => {
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(read) => {
                    std::thread::sleep(self.delay);
                    let passed = left.map_or(read, |left| left.min(read));
                    if to.write_all(&buffer[..passed]).is_err() {
                        break;
                    }
                    left = left.map(|left| left - passed);
                }
                Err(_) => break,
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}

//! Stands between a connector and its target over HTTP: passes messages on as they are, or as a test wants them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// It listens until the test's process ends.
pub struct Between {
    port: u16,
}

impl Between {
    /// `answer` gets each request and a way to pass it on to the target at `url`, whose path does not count.
    pub fn start(url: &str, answer: impl Fn(&str, &dyn Fn() -> Vec<u8>) -> Vec<u8> + Send + 'static) -> Self {
        let target = url.trim_start_matches("http://").split('/').next().expect("a host").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let request = read_message(&mut client);
                let forward = || {
                    let mut server = TcpStream::connect(&target).expect("reach the target");
                    server.write_all(&request).expect("pass the request on");
                    read_message(&mut server)
                };
                let answer = answer(&String::from_utf8_lossy(&request), &forward);
                // The connector may have left.
                let _ = client.write_all(&last_on_its_connection(&answer));
            }
        });
        Self { port }
    }

    /// Where it answers, without a path.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// An answer that says that no other comes on its connection, so that nobody asks on one that is about to end.
fn last_on_its_connection(answer: &[u8]) -> Vec<u8> {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return answer.to_vec();
    };
    let head = String::from_utf8_lossy(&answer[..end]);
    let kept = head.split("\r\n").filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        !["connection", "keep-alive"].iter().any(|own| name.eq_ignore_ascii_case(own))
    });
    let head: Vec<&str> = kept.chain(["Connection: close"]).collect();
    [head.join("\r\n").as_bytes(), &answer[end..]].concat()
}

/// One message of HTTP/1.1 with a stated length.
fn read_message(stream: &mut TcpStream) -> Vec<u8> {
    let mut message = Vec::new();
    let mut part = [0; 4096];
    loop {
        if let Some(end) = message.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&message[..end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .map_or(0, |length| length.trim().parse::<usize>().expect("a length"));
            if message.len() >= end + 4 + length {
                return message;
            }
        }
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return message,
            Ok(count) => message.extend_from_slice(&part[..count]),
        }
    }
}

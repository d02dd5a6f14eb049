//! Stands between the connector and the account: passes messages on as they are, or as a test wants them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use leasehold_connect::connector::Connector;

use super::Company;
use crate::harness::build;

/// It listens until the test's process ends.
pub struct Between {
    port: u16,
}

impl Between {
    /// `answer` gets each request and a way to pass it on to the account at `url`.
    pub fn start(url: &str, answer: impl Fn(&str, &dyn Fn() -> Vec<u8>) -> Vec<u8> + Send + 'static) -> Self {
        let target = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let request = read_message(&mut client);
                let forward = || {
                    let mut server = TcpStream::connect(&target).expect("reach the account");
                    server.write_all(&request).expect("pass the request on");
                    read_message(&mut server)
                };
                let answer = answer(&String::from_utf8_lossy(&request), &forward);
                // The connector may have left.
                let _ = client.write_all(&answer);
            }
        });
        Self { port }
    }

    /// A connector that asks here, as Leasehold's own user.
    pub fn connector(&self, company: &Company, more: &str) -> Box<dyn Connector> {
        let secret = company.server.secret_file("between.secret", &company.own.secret);
        build(
            "aws_iam",
            &format!(
                "endpoint = 'http://127.0.0.1:{}'\naccess_key_id = '{}'\nsecret_access_key = 'file:{}'\n{more}",
                self.port,
                company.own.id,
                secret.display()
            ),
        )
    }
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

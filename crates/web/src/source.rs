//! Where a request comes from: the peer, or what a trusted proxy says of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request};

use crate::server::Settings;

/// The address that a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(pub IpAddr);

impl Default for Source {
    fn default() -> Self {
        Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

impl Source {
    /// The peer's address. Behind a trusted proxy it is the last address in `X-Forwarded-For` that is no trusted proxy:
    /// what stands before it, anybody can have written.
    pub(crate) fn of(request: &Request, settings: &Settings) -> Self {
        let peer =
            request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
        let Some(peer) = peer.map(|address| address.to_canonical()) else { return Self::default() };
        let trusted = |address: IpAddr| settings.trusted_proxies.iter().any(|net| net.contains(&address));
        if !trusted(peer) {
            return Self(peer);
        }
        let lines = request.headers().get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
        let named: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
        let mut last = peer;
        for text in named.into_iter().rev() {
            let Ok(address) = text.parse::<IpAddr>() else { break };
            last = address.to_canonical();
            if !trusted(last) {
                break;
            }
        }
        Self(last)
    }

    /// What limits by source are counted for: one host with IPv4, one subscriber's network (/64) with IPv6.
    pub fn network(self) -> String {
        match self.0 {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let part = address.segments();
                format!("{:x}:{:x}:{:x}:{:x}::/64", part[0], part[1], part[2], part[3])
            }
        }
    }
}

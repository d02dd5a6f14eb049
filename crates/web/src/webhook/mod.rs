//! Webhooks: what the ledger records is told to whoever asked for it, signed by the Standard Webhooks specification.
//!
//! `event.rs` says what an entry is told as, `secret.rs` signs, `receiver.rs` calls and guards where a call may go, and
//! `deliverer.rs` brings every message to its end, beside the loop and never in its way. `wanted.rs` is what the API and the page
//! have in common. `notice.rs` is the other direction: what systems that are read tell us.

pub(crate) mod deliverer;
pub(crate) mod event;
pub(crate) mod notice;
pub(crate) mod receiver;
pub(crate) mod secret;
pub(crate) mod wanted;

use std::net::IpAddr;

use ipnet::IpNet;

/// How webhooks are set up.
#[derive(Debug, Clone, Default)]
pub struct WebhookSettings {
    /// Networks that are not public and may be called all the same. Plain http is for this machine only, and only where
    /// it is in here.
    pub allow: Vec<IpNet>,
}

impl WebhookSettings {
    /// Whether an address may be called: a public one, or one that was allowed.
    pub(crate) fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        receiver::is_public(address) || self.allow.iter().any(|network| network.contains(&address))
    }
}

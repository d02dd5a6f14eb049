//! Calling a receiver: only where calls may go, little time, no redirects, and a few words of its answer at most.
//!
//! Whoever sets up a webhook decides where this machine connects to. So that nobody reaches through it what is not theirs,
//! addresses that are not public are refused, by the address that is really connected to and at the instant of connecting:
//! a name that is public when it is checked can be another one later.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::WebhookSettings;
use super::secret::Secret;
use crate::sign_in::openid::said;

/// Connecting takes no longer than this.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A receiver that needs longer has not taken it (Standard Webhooks: 15 to 30 seconds).
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// What is kept of an answer that refuses, in characters.
const EXCERPT_CHARS_MAX: usize = 200;
/// An address is not longer than this.
const URL_CHARS_MAX: usize = 2_000;

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The receiver answered.
    Answered {
        /// Its status.
        status: u16,
        /// The beginning of its words, where it did not take the message.
        excerpt: String,
        /// When it wants to be asked again, in seconds.
        retry_after_s: Option<i64>,
    },
    /// It did not, or was not to be called.
    Unanswered(String),
}

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
#[error("its address is not public, and is not in `allow` of [server.webhooks]")]
struct NotPermitted;

/// Looks names up, and gives only addresses that may be called.
struct Guarded(Arc<WebhookSettings>);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let settings = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted: Vec<SocketAddr> = found.filter(|address| settings.permits(address.ip())).collect();
            if permitted.is_empty() {
                return Err(NotPermitted.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

/// Calls receivers.
pub(crate) struct Caller {
    /// Made when first used: this machine's certificates take their time to load, and most installations call nobody.
    client: OnceLock<reqwest::Client>,
    settings: Arc<WebhookSettings>,
}

impl Caller {
    /// A caller that has called nobody yet.
    pub(crate) fn new(settings: WebhookSettings) -> Self {
        Self { client: OnceLock::new(), settings: Arc::new(settings) }
    }

    /// The client. No proxy of the environment is used: it would look names up by itself.
    fn client(&self) -> Result<reqwest::Client, reqwest::Error> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Guarded(self.settings.clone())))
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(2)
            .user_agent(concat!("Leasehold/", env!("CARGO_PKG_VERSION")))
            .build()?;
        // Of two that were made at once, one is kept.
        Ok(self.client.get_or_init(|| client).clone())
    }

    /// Sends one message, signed with every secret that counts.
    pub(crate) async fn call(
        &self,
        url: &str,
        id: &str,
        at_s: i64,
        body: &str,
        secrets: &[Secret],
    ) -> Answer {
        // What may be called can have changed since the webhook was made.
        if let Err(why) = check(url, &self.settings) {
            return Answer::Unanswered(why);
        }
        let signatures: Vec<String> = secrets.iter().map(|secret| secret.sign(id, at_s, body)).collect();
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => return Answer::Unanswered(shortened(&said(error))),
        };
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", at_s.to_string())
            .header("webhook-signature", signatures.join(" "))
            .body(body.to_owned());
        match request.send().await {
            Ok(answer) => answered(answer).await,
            // The address is left out: it can carry a secret of the receiver.
            Err(error) if error.is_timeout() => {
                Answer::Unanswered(format!("no answer within {} s", ANSWER_WITHIN.as_secs()))
            }
            Err(error) => Answer::Unanswered(shortened(&said(error.without_url()))),
        }
    }
}

async fn answered(mut answer: reqwest::Response) -> Answer {
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after_s = retry_after.and_then(|text| text.trim().parse().ok()).filter(|seconds| *seconds >= 0);
    let mut bytes = Vec::new();
    if !answer.status().is_success() {
        // One piece at most, however long the answer is.
        if let Ok(Some(piece)) = answer.chunk().await {
            bytes.extend_from_slice(&piece[..piece.len().min(4 * EXCERPT_CHARS_MAX)]);
        }
    }
    Answer::Answered { status, excerpt: shortened(&String::from_utf8_lossy(&bytes)), retry_after_s }
}

/// A text of somebody else, in one short line.
fn shortened(text: &str) -> String {
    let line: String =
        text.trim().chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    line.chars().take(EXCERPT_CHARS_MAX).collect()
}

/// Whether an address can be a receiver's: what can be said without looking its name up.
///
/// # Errors
/// What is wrong, and how to mend it.
pub(crate) fn check(text: &str, settings: &WebhookSettings) -> Result<Url, String> {
    let parsed = Url::parse(text).ok().filter(|_| text.chars().count() <= URL_CHARS_MAX);
    let Some(url) = parsed else {
        return Err("write an address such as https://siem.example.com/hooks/leasehold".to_owned());
    };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("write the address without a user, a password or a fragment".to_owned());
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) => None,
        None => return Err("write an address with a host".to_owned()),
    };
    if address.is_some_and(|address| !settings.permits(address)) {
        return Err(
            "this address is not public; whoever runs the server can allow it: `allow` of [server.webhooks]"
                .to_owned(),
        );
    }
    let is_here = match address {
        Some(address) => address.to_canonical().is_loopback(),
        None => url.host_str() == Some("localhost"),
    };
    match url.scheme() {
        "https" => Ok(url),
        // The lookup of a name refuses what was not allowed.
        "http" if is_here => Ok(url),
        _ => Err("write an address with https; http is for this machine only".to_owned()),
    }
}

/// Whether an address is one of the public network (the special-purpose registries of RFC 6890).
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || first == 0
        // Shared by subscribers of a carrier, protocol assignments, 6to4 relays, tests of devices, reserved.
        || (first == 100 && (64..128).contains(&second))
        || (first, second, third) == (192, 0, 0)
        || (first, second, third) == (192, 88, 99)
        || (first == 198 && (18..20).contains(&second))
        || first >= 240;
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let part = address.segments();
    // An address of IPv4 inside of one of IPv6 leads to the former: translation (RFC 6052) and 6to4 (RFC 3056).
    let inside = |high: u16, low: u16| {
        let [first, second] = high.to_be_bytes();
        let [third, fourth] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(first, second, third, fourth))
    };
    if part[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return inside(part[6], part[7]);
    }
    if part[0] == 0x2002 {
        return inside(part[1], part[2]);
    }
    // Of what was given out, everything but protocol assignments, among them Teredo, and documentation.
    (part[0] & 0xe000) == 0x2000
        && !(part[0] == 0x2001 && part[1] < 0x200)
        && !(part[0] == 0x2001 && part[1] == 0xdb8)
        && !(part[0] == 0x3fff && part[1] < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowing(networks: &[&str]) -> WebhookSettings {
        WebhookSettings { allow: networks.iter().map(|network| network.parse().unwrap()).collect() }
    }

    #[test]
    fn what_is_not_public_is_refused_in_every_spelling() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "192.0.0.8",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:db8::1",
            "2001::1",
            "fec0::1",
            "::127.0.0.1",
            "3fff::1",
            "64:ff9b:1::1",
        ] {
            let address: IpAddr = text.parse().unwrap();
            assert!(!allowing(&[]).permits(address), "{text}");
        }
        for text in [
            "1.1.1.1",
            "93.184.216.34",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "2002:101:101::1",
            "100.128.0.1",
        ] {
            let address: IpAddr = text.parse().unwrap();
            assert!(allowing(&[]).permits(address), "{text}");
        }
        let here = allowing(&["127.0.0.0/8", "10.1.0.0/16"]);
        assert!(
            here.permits("::ffff:127.0.0.1".parse().unwrap()) && here.permits("10.1.2.3".parse().unwrap())
        );
        assert!(!here.permits("10.2.2.3".parse().unwrap()));
    }

    #[test]
    fn an_address_is_https_plain_and_public_unless_it_was_allowed() {
        let nothing = allowing(&[]);
        let here = allowing(&["127.0.0.1/32"]);
        assert!(check("https://siem.example.com/hooks?key=1", &nothing).is_ok());
        assert!(check("http://127.0.0.1:9000/", &here).is_ok());
        assert!(check("https://localhost/", &nothing).is_ok(), "its lookup refuses it");
        for refused in [
            "",
            "siem",
            "ftp://siem.example.com",
            "http://siem.example.com",
            "https://dana@siem.example.com",
            "https://siem.example.com/#part",
            "https://127.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:7f00:1]/",
            "http://10.0.0.1/",
            "https://169.254.169.254/latest",
        ] {
            assert!(check(refused, &nothing).is_err(), "{refused}");
        }
        assert!(check("http://127.0.0.2/", &here).is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_connected_to() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let caller = Caller::new(WebhookSettings::default());
        let answer = caller.call(&url, "msg_1", 0, "{}", &[]).await;
        assert!(matches!(&answer, Answer::Unanswered(why) if why.contains("not public")), "{answer:?}");
        assert!(listener.accept().is_err(), "somebody has connected");
    }

    #[test]
    fn words_of_a_receiver_become_one_short_line() {
        assert_eq!(shortened(" a\r\nb\u{1b}[31m "), "a  b [31m");
        assert_eq!(shortened(&"x".repeat(5_000)).len(), EXCERPT_CHARS_MAX);
    }
}

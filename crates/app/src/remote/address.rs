//! Which addresses of servers are taken: https everywhere, plain http on this machine only.

use std::net::IpAddr;

use anyhow::{Context as _, bail};
use url::{Host, Url};

/// Reads the address of a server.
///
/// # Errors
/// Where it is none, holds more than scheme, host and port, or would send the token in clear text over a network.
pub fn parse(text: &str, allow_plain_http: bool) -> anyhow::Result<Url> {
    let text = text.trim();
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
        .with_context(|| {
            format!(
                "`{text}` is not the address of a server; write for example https://leasehold.example.com"
            )
        })?;
    if !url.username().is_empty() || url.password().is_some() {
        bail!("the address of a server holds no user and no password; `leasehold login` signs you in");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        bail!("`{text}` has more than scheme, host and port; write {}", url.origin().ascii_serialization());
    }
    if url.scheme() == "http" && !is_this_machine(&url) && !allow_plain_http {
        bail!(
            "plain http sends your token in clear text, and whoever listens on the way could act as you; use {}, or add \
             --allow-plain-http where the way to the server is protected by other means",
            url.origin().ascii_serialization().replacen("http:", "https:", 1)
        );
    }
    Ok(url)
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_or_refused_with_the_mend() {
        for (text, plain, wanted) in [
            ("https://leasehold.example.com", false, Ok("https://leasehold.example.com")),
            (" https://leasehold.example.com:8443/ ", false, Ok("https://leasehold.example.com:8443")),
            ("http://127.0.0.1:8420", false, Ok("http://127.0.0.1:8420")),
            ("http://[::1]:8420", false, Ok("http://[::1]:8420")),
            ("http://localhost:8420", false, Ok("http://localhost:8420")),
            ("http://leasehold.example.com", true, Ok("http://leasehold.example.com")),
            (
                "http://leasehold.example.com",
                false,
                Err("https://leasehold.example.com, or add --allow-plain-http"),
            ),
            ("http://localhost.example.com", false, Err("in clear text")),
            ("http://127.0.0.1.example.com", false, Err("in clear text")),
            ("leasehold.example.com", false, Err("write for example https://")),
            ("ftp://leasehold.example.com", false, Err("not the address of a server")),
            ("https://", false, Err("not the address of a server")),
            ("https://dana:secret@leasehold.example.com", false, Err("no user and no password")),
            ("https://leasehold.example.com/api/v1", false, Err("write https://leasehold.example.com")),
            ("https://leasehold.example.com?a=b", false, Err("write https://leasehold.example.com")),
        ] {
            match (parse(text, plain), wanted) {
                (Ok(url), Ok(wanted)) => assert_eq!(url.origin().ascii_serialization(), wanted, "{text}"),
                (Err(error), Err(wanted)) => {
                    let error = error.to_string();
                    assert!(error.contains(wanted) && !error.contains("secret"), "{text}: {error}");
                }
                (got, wanted) => panic!("{text}: {got:?}, and not {wanted:?}"),
            }
        }
    }
}

//! Whether passkeys can be used at the server's address, and the rules by which their answers are checked.

use url::{Host, Url};
use webauthn_rs::prelude::{Webauthn, WebauthnBuilder};

use crate::error::WebError;
use crate::server::Settings;

/// Who asks for passkeys: a name of a host, which browsers keep passkeys for, or why there is none.
pub(crate) struct RelyingParty(Result<Webauthn, String>);

impl RelyingParty {
    /// The one at the server's address.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self(at(&settings.url))
    }

    /// The rules.
    ///
    /// # Errors
    /// [`WebError::Conflict`] where passkeys cannot be used at this address.
    pub(crate) fn rules(&self) -> Result<&Webauthn, WebError> {
        self.0.as_ref().map_err(|why| WebError::Conflict(why.clone()))
    }

    /// Why passkeys cannot be used; `None` where they can.
    pub(crate) fn why_not(&self) -> Option<&str> {
        self.0.as_ref().err().map(String::as_str)
    }
}

/// Browsers keep passkeys for the name of a host, and use them where nobody on the way can change a page.
fn at(url: &Url) -> Result<Webauthn, String> {
    let origin = url.origin().ascii_serialization();
    let mend = "set `url` under `[server]` in `leasehold.toml` to an https address with a host name, or to \
                `http://localhost` with a port, and use that address";
    let Some(Host::Domain(host)) = url.host() else {
        return Err(format!(
            "passkeys belong to a host name, and {origin} has none: an address of numbers is none; {mend}"
        ));
    };
    let is_local = host == "localhost" || host.ends_with(".localhost");
    if url.scheme() != "https" && !is_local {
        return Err(format!("browsers use passkeys with https only, and {origin} is without; {mend}"));
    }
    WebauthnBuilder::new(host, url)
        .and_then(|builder| builder.rp_name("Leasehold").build())
        .map_err(|error| format!("passkeys cannot be used at {origin}: {error}; {mend}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_need_a_host_name_and_https() {
        for (url, refused_with) in [
            ("https://leasehold.example.com", None),
            ("https://leasehold.example.com:8443", None),
            ("https://intranet", None),
            ("http://localhost:8420", None),
            ("http://leasehold.localhost:8420", None),
            ("http://leasehold.example.com", Some("https only")),
            ("http://127.0.0.1:8420", Some("belong to a host name")),
            ("https://192.0.2.7", Some("belong to a host name")),
            ("https://[2001:db8::1]:8443", Some("belong to a host name")),
        ] {
            let url: Url = url.parse().unwrap();
            match (at(&url), refused_with) {
                (Ok(_), None) => {}
                (Err(why), Some(wanted)) => {
                    assert!(why.contains(wanted) && why.contains("set `url`"), "{url}: {why}");
                }
                (outcome, _) => panic!("{url}: {:?}", outcome.err()),
            }
        }
    }
}

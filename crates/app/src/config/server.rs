//! `[server]`: where `leasehold serve` listens, under which address people find it, and how often it reads.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use leasehold_connect::settings::did_you_mean;
use leasehold_decide::policy::read::parse_duration;
use leasehold_reconcile::system::INTERVAL_MS_DEFAULT;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use url::Url;

use super::Config;
use super::oidc::ProviderSettings;

/// Where it listens unless something else is said: on this machine only.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8420);

/// More often than this nothing is read.
const INTERVAL_S_MIN: i64 = 1;

/// Less often than this is not watching any more.
const INTERVAL_S_MAX: i64 = 31 * 86_400;

/// A process that is taken for dead sooner than this may just be busy.
const TAKEOVER_S: std::ops::RangeInclusive<i64> = 2..=3_600;

const KEYS: [&str; 10] = [
    "listen",
    "url",
    "tls_certificate",
    "tls_key",
    "trusted_proxies",
    "interval",
    "takeover_after",
    "seal_key",
    "authority",
    "oidc",
];

/// Where the key is that seals what only servers may read again, beside leasehold.toml.
const SEAL_KEY_DEFAULT: &str = "leasehold.seal";

/// How `leasehold serve` runs.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The address under which people and programs find it; without one, where it listens.
    url: Option<Url>,
    /// The files of the certificate chain and of its key.
    tls: Option<(PathBuf, PathBuf)>,
    /// The proxies whose word about the real sender counts.
    pub trusted_proxies: Vec<IpNet>,
    /// How often systems are read that say nothing else, in milliseconds.
    pub interval_ms: u64,
    /// How long a process may be silent before others take its tasks over, in milliseconds.
    pub takeover_after_ms: u64,
    /// The file of the key that seals second factors and the like; several servers on one store share it.
    seal_key: PathBuf,
    /// The file or folder of the installation's own authority policies.
    pub(super) authority: Option<PathBuf>,
    /// The OpenID provider that people may sign in by.
    pub(super) oidc: Option<ProviderSettings>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: LISTEN_DEFAULT,
            url: None,
            tls: None,
            trusted_proxies: Vec::new(),
            interval_ms: INTERVAL_MS_DEFAULT,
            takeover_after_ms: 60_000,
            seal_key: PathBuf::from(SEAL_KEY_DEFAULT),
            authority: None,
            oidc: None,
        }
    }
}

impl ServerSettings {
    /// The address under which people find a server that listens there.
    ///
    /// # Errors
    /// Never for an address that a socket has.
    pub fn url(&self, listening: SocketAddr) -> anyhow::Result<Url> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        // Nobody can go to "every address"; on this machine, this is one of them.
        let listening = match listening.ip() {
            ip if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listening.port()),
            _ => listening,
        };
        Ok(Url::parse(&format!("{scheme}://{listening}"))?)
    }
}

impl Config {
    pub(super) fn server_settings(&self, table: &toml::Table) -> anyhow::Result<ServerSettings> {
        let mut settings = ServerSettings::default();
        let (mut certificate, mut key) = (None, None);
        for (name, value) in table {
            let place = ["server", name];
            match name.as_str() {
                "listen" => {
                    let listen = value.as_str().and_then(|text| text.parse().ok());
                    settings.listen = listen.ok_or_else(|| {
                        let help = "write an address and a port, such as `listen = \"127.0.0.1:8420\"`";
                        self.complain(&place, "not an address to listen on", help)
                    })?;
                }
                "url" => settings.url = Some(self.public_url(value)?),
                "tls_certificate" => certificate = Some(self.file(&place, value)?),
                "tls_key" => key = Some(self.file(&place, value)?),
                "trusted_proxies" => settings.trusted_proxies = self.proxies(value)?,
                "seal_key" => settings.seal_key = self.file(&place, value)?,
                "authority" => settings.authority = Some(self.file(&place, value)?),
                "oidc" => settings.oidc = Some(self.provider(value)?),
                "interval" => settings.interval_ms = self.interval_ms(&place, value)?,
                "takeover_after" => {
                    let duration = value.as_str().and_then(parse_duration).map(|duration| duration.as_secs());
                    let duration = duration.filter(|seconds| TAKEOVER_S.contains(seconds));
                    let seconds = duration.ok_or_else(|| {
                        let help = "write a time from 2s to 1h, such as `takeover_after = \"60s\"`";
                        self.complain(
                            &place,
                            "not a time after which a silent process is taken for dead",
                            help,
                        )
                    })?;
                    settings.takeover_after_ms = seconds.unsigned_abs() * 1_000;
                }
                _ => {
                    let message = format!("`{name}` is not known in [server]{}", did_you_mean(name, &KEYS));
                    return Err(self.complain(&place, &message, ""));
                }
            }
        }
        settings.tls = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (Some(_), None) => {
                let place = ["server", "tls_certificate"];
                return Err(self.complain(&place, "a certificate without its key", "write `tls_key`, too"));
            }
            (None, Some(_)) => {
                let place = ["server", "tls_key"];
                return Err(self.complain(
                    &place,
                    "a key without its certificate",
                    "write `tls_certificate`, too",
                ));
            }
        };
        Ok(settings)
    }

    /// How often something is read.
    pub(super) fn interval_ms(&self, place: &[&str], value: &toml::Value) -> anyhow::Result<u64> {
        let seconds = value.as_str().and_then(parse_duration).map(|duration| duration.as_secs());
        let seconds = seconds.filter(|seconds| (INTERVAL_S_MIN..=INTERVAL_S_MAX).contains(seconds));
        let seconds = seconds.ok_or_else(|| {
            let help = "write a time from 1s to 31d, such as `interval = \"15m\"`";
            self.complain(place, "not a time between two readings", help)
        })?;
        Ok(seconds.unsigned_abs() * 1_000)
    }

    /// Certificate and key as they are in their files now; `None` where the server speaks no TLS itself.
    ///
    /// # Errors
    /// Where a file cannot be read, or holds something else, or the two do not belong together.
    pub fn server_tls(&self) -> anyhow::Result<Option<Arc<ServerConfig>>> {
        let Some((certificate, key)) = &self.server.tls else { return Ok(None) };
        let place = ["server", "tls_certificate"];
        let unusable = |place: &[&str], path: &PathBuf, error: String| {
            self.complain(place, &format!("{} cannot be used: {error}", path.display()), "")
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(&place, certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(unusable(&place, certificate, "it holds no certificate in PEM form".to_owned()));
        }
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| unusable(&["server", "tls_key"], key, error.to_string()))?;
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|error| unusable(&["server", "tls_key"], key, error.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Some(Arc::new(config)))
    }

    /// The file of the key that seals what only servers may read again.
    pub fn seal_key(&self) -> PathBuf {
        self.folder.join(&self.server.seal_key)
    }

    fn public_url(&self, value: &toml::Value) -> anyhow::Result<Url> {
        let url = value.as_str().and_then(|text| Url::parse(text).ok()).filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && (url.username(), url.password(), url.path()) == ("", None, "/")
                && (url.query(), url.fragment()) == (None, None)
        });
        url.ok_or_else(|| {
            let help = "write scheme and host, such as `url = \"https://leasehold.example.com\"`";
            self.complain(&["server", "url"], "not an address for people and programs", help)
        })
    }

    fn file(&self, place: &[&str], value: &toml::Value) -> anyhow::Result<PathBuf> {
        match value.as_str() {
            Some(path) => Ok(self.folder.join(path)),
            None => Err(self.complain(place, "a file's path is wanted here", "put it into double quotes")),
        }
    }

    fn proxies(&self, value: &toml::Value) -> anyhow::Result<Vec<IpNet>> {
        let network = |text: &str| -> Option<IpNet> {
            text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
        };
        let read = |value: &toml::Value| value.as_str().and_then(network);
        let networks = value.as_array().and_then(|list| list.iter().map(read).collect::<Option<Vec<_>>>());
        networks.ok_or_else(|| {
            let help =
                "write addresses or networks, such as `trusted_proxies = [\"10.0.0.5\", \"192.168.7.0/24\"]`";
            self.complain(&["server", "trusted_proxies"], "not a list of proxies", help)
        })
    }
}

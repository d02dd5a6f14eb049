//! `[server.traces]`: the OpenTelemetry collector that spans are sent to.

use leasehold_connect::settings::did_you_mean;
use url::Url;

use super::Config;
use crate::traces::TraceSettings;

const KEYS: [&str; 2] = ["endpoint", "share"];

impl Config {
    pub(super) fn traces(&self, value: &toml::Value) -> anyhow::Result<TraceSettings> {
        let toml::Value::Table(table) = value else {
            let help = "write `[server.traces]` and its settings below";
            return Err(self.complain(&["server", "traces"], "a table is wanted here", help));
        };
        let mut settings = TraceSettings::default();
        for (name, value) in table {
            let place = ["server", "traces", name];
            match name.as_str() {
                "endpoint" => {
                    let endpoint = value.as_str().filter(|text| is_endpoint(text));
                    let endpoint = endpoint.ok_or_else(|| {
                        let help = "write scheme, host and port, such as `endpoint = \"https://collector.example.com:4318\"`; \
                                    what the collector has to be shown goes into OTEL_EXPORTER_OTLP_HEADERS";
                        self.complain(&place, "not the address of a collector", help)
                    })?;
                    settings.endpoint = Some(endpoint.to_owned());
                }
                "share" => {
                    let share = value.as_float().or_else(|| value.as_integer().map(|share| share as f64));
                    let share = share.filter(|share| (0.0..=1.0).contains(share));
                    settings.share = Some(share.ok_or_else(|| {
                        let help = "write a number from 0 to 1, such as `share = 0.1`";
                        self.complain(&place, "not a share of all traces", help)
                    })?);
                }
                _ => {
                    let message =
                        format!("`{name}` is not known in [server.traces]{}", did_you_mean(name, &KEYS));
                    return Err(self.complain(&place, &message, ""));
                }
            }
        }
        Ok(settings)
    }
}

/// Whether a text can be a collector's address. A secret has no place in it.
fn is_endpoint(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && (url.username(), url.password(), url.query(), url.fragment()) == ("", None, None, None)
    })
}

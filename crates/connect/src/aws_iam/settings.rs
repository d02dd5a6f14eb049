//! The settings of an `aws_iam` system, checked before anything is reached.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::error::ConnectError;
use crate::http_client::HttpClient;
use crate::settings::{Settings, did_you_mean};

/// Listings that can be left out, where an endpoint does not offer them or the rights for them are not given.
pub(super) const OPTIONAL_LISTINGS: [&str; 4] =
    ["mfa_devices", "service_specific_credentials", "signing_certificates", "ssh_public_keys"];

/// What is known of the account before it is reached.
pub(super) struct AwsIamSettings {
    pub http: HttpClient,
    pub iam_url: Url,
    pub sts_url: Url,
    /// The region that requests are signed for.
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    pub session_token: Option<SecretString>,
    /// Some of [`OPTIONAL_LISTINGS`].
    pub leave_out: Vec<String>,
    /// Objects of a page.
    pub page_size: u64,
}

/// Reads them.
pub(super) fn read(settings: &mut Settings) -> Result<AwsIamSettings, ConnectError> {
    let region = settings.optional_string("region")?.unwrap_or_else(|| "us-east-1".to_owned());
    if region.is_empty() || !region.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    {
        return Err(
            settings.error("region", format!("`{region}` is not a region; write for example `us-east-1`"))
        );
    }
    let (iam_url, sts_url) = match settings.optional_string("endpoint")? {
        Some(text) => {
            let url = endpoint(settings, &text)?;
            (url.clone(), url)
        }
        None => {
            let (iam, sts) = addresses(&region);
            (endpoint(settings, &iam)?, endpoint(settings, &sts)?)
        }
    };
    let access_key_id = settings.string("access_key_id", "AKIAIOSFODNN7EXAMPLE")?;
    let secret_access_key = settings
        .secret("secret_access_key")?
        .ok_or_else(|| settings.error("secret_access_key", "is missing; write `env:NAME` or `file:PATH`"))?;
    let leave_out = settings.strings("leave_out")?;
    for listing in &leave_out {
        if !OPTIONAL_LISTINGS.contains(&listing.as_str()) {
            let message =
                format!("`{listing}` cannot be left out{}", did_you_mean(listing, &OPTIONAL_LISTINGS));
            return Err(settings.error("leave_out", message));
        }
    }
    let authority = settings.optional_path("ca_certificate")?;
    let timeout = Duration::from_millis(settings.integer_or("timeout_ms", 30_000, 100, 3_600_000)?);
    Ok(AwsIamSettings {
        http: HttpClient::new(settings, &iam_url, authority.as_deref(), timeout)?,
        iam_url,
        sts_url,
        // IAM itself is one service of a partition and signed for in its first region.
        region,
        access_key_id,
        secret_access_key,
        session_token: settings.secret("session_token")?,
        leave_out,
        page_size: settings.integer_or("page_size", 100, 1, 1000)?,
    })
}

/// Where IAM and STS of a region's partition answer.
fn addresses(region: &str) -> (String, String) {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let iam = if region.starts_with("cn-") {
        format!("https://iam.cn-north-1.{suffix}")
    } else if region.starts_with("us-gov-") {
        format!("https://iam.us-gov.{suffix}")
    } else {
        format!("https://iam.{suffix}")
    };
    (iam, format!("https://sts.{region}.{suffix}"))
}

/// The region that IAM's requests are signed for.
pub(super) fn iam_region(region: &str) -> &str {
    if region.starts_with("cn-") {
        "cn-north-1"
    } else if region.starts_with("us-gov-") {
        "us-gov-west-1"
    } else {
        "us-east-1"
    }
}

fn endpoint(settings: &Settings, text: &str) -> Result<Url, ConnectError> {
    let url = Url::parse(text)
        .map_err(|error| settings.error("endpoint", format!("`{text}` is not an address: {error}")))?;
    let host = url.host_str().unwrap_or_default();
    let nearby = matches!(host, "localhost" | "[::1]") || host.starts_with("127.");
    match url.scheme() {
        "https" => Ok(url),
        // Signed requests do not show the secret; what they read and change would be open to everybody on the way.
        "http" if nearby => Ok(url),
        "http" => Err(settings.error("endpoint", "is not encrypted; use `https://`")),
        other => Err(settings.error("endpoint", format!("`{other}://` is not spoken; use `https://`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_addresses_and_region() {
        for (region, iam, sts, signed) in [
            ("eu-west-1", "https://iam.amazonaws.com", "https://sts.eu-west-1.amazonaws.com", "us-east-1"),
            (
                "cn-northwest-1",
                "https://iam.cn-north-1.amazonaws.com.cn",
                "https://sts.cn-northwest-1.amazonaws.com.cn",
                "cn-north-1",
            ),
            (
                "us-gov-east-1",
                "https://iam.us-gov.amazonaws.com",
                "https://sts.us-gov-east-1.amazonaws.com",
                "us-gov-west-1",
            ),
        ] {
            assert_eq!(addresses(region), (iam.to_owned(), sts.to_owned()));
            assert_eq!(iam_region(region), signed);
        }
    }
}

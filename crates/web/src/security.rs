//! What keeps a browser from being turned against its user: headers, cookies, and where a request comes from.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::route::Face;
use crate::server::Settings;

/// Nothing is loaded from elsewhere, and nothing runs or styles that is not a file of ours.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Passkeys are all that a page of ours asks of the browser.
const PERMISSIONS_POLICY: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), \
     publickey-credentials-get=(self), publickey-credentials-create=(self)";

/// What is put on every answer.
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// What is put on a page, beside that.
const PAGE_HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS_POLICY)),
];

/// The same for what programs read: a browser that is made to show it loads and runs nothing.
const API_HEADERS: [(HeaderName, HeaderValue); 1] = [(
    header::CONTENT_SECURITY_POLICY,
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
)];

/// Puts the headers on an answer. What a handler set itself stays.
pub(crate) fn protect(headers: &mut HeaderMap, settings: &Settings, face: Face) {
    let of_face = match face {
        Face::Page => &PAGE_HEADERS[..],
        Face::Api | Face::Scim => &API_HEADERS,
    };
    headers.reserve(HEADERS.len() + of_face.len() + 3);
    for (name, value) in HEADERS.iter().chain(of_face) {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    // A page shows what one person may see; no cache between may keep it, and the way back must not show it either.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if settings.is_https() {
        let lasting = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, lasting);
    }
}

/// A cookie of ours.
pub(crate) struct Cookie {
    name: &'static str,
    /// Whether a page of another site that links here sends it along.
    strict: bool,
    lasting_seconds: Option<u64>,
}

impl Cookie {
    /// The session. Lax: whoever follows a link in a mail to a page of ours is signed in there.
    pub(crate) const SESSION: Self = Self { name: "leasehold_session", strict: false, lasting_seconds: None };
    /// The chosen theme.
    pub(crate) const THEME: Self =
        Self { name: "leasehold_theme", strict: true, lasting_seconds: Some(365 * 24 * 3600) };
    /// What to say on the next page.
    pub(crate) const FLASH: Self = Self { name: "leasehold_flash", strict: true, lasting_seconds: Some(60) };
    /// What is known of a sign-in that is not finished.
    pub(crate) const PENDING: Self =
        Self { name: "leasehold_pending", strict: true, lasting_seconds: Some(600) };
    /// The challenge that a passkey is to answer.
    pub(crate) const PASSKEY: Self =
        Self { name: "leasehold_passkey", strict: true, lasting_seconds: Some(600) };
    /// A sign-in that is on its way to a provider and back. Lax: the provider's page sends the browser here.
    pub(crate) const OPENID: Self =
        Self { name: "leasehold_openid", strict: false, lasting_seconds: Some(600) };
    /// The source that a user signed in from before: no stranger can slow it down.
    pub(crate) const KNOWN: Self =
        Self { name: "leasehold_known", strict: true, lasting_seconds: Some(365 * 24 * 3600) };

    /// With https the name itself promises that no other host or path has set it.
    fn full_name(&self, settings: &Settings) -> String {
        if settings.is_https() { format!("__Host-{}", self.name) } else { self.name.to_owned() }
    }
}

/// The value of a cookie, where the request has it.
pub(crate) fn cookie(headers: &HeaderMap, settings: &Settings, cookie: &Cookie) -> Option<String> {
    let name = cookie.full_name(settings);
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// Sets a cookie. The value must be of base64url's letters.
pub(crate) fn remember(headers: &mut HeaderMap, settings: &Settings, cookie: &Cookie, value: &str) {
    let age = cookie.lasting_seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    set(headers, settings, cookie, value, &age);
}

/// Has the browser forget a cookie.
pub(crate) fn forget(headers: &mut HeaderMap, settings: &Settings, cookie: &Cookie) {
    set(headers, settings, cookie, "", "; Max-Age=0");
}

fn set(headers: &mut HeaderMap, settings: &Settings, cookie: &Cookie, value: &str, age: &str) {
    let secure = if settings.is_https() { "; Secure" } else { "" };
    let same_site = if cookie.strict { "Strict" } else { "Lax" };
    let name = cookie.full_name(settings);
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite={same_site}{secure}{age}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.append(header::SET_COOKIE, value);
    }
}

/// Whether a browser sends this from a page of ours. A program that is no browser says nothing of either, and has no
/// cookie that somebody else could make it send.
pub(crate) fn is_from_here(headers: &HeaderMap, settings: &Settings) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match text(HeaderName::from_static("sec-fetch-site")) {
        Some("same-origin" | "none") => true,
        Some(_) => false,
        None => match text(header::ORIGIN) {
            None => true,
            Some(origin) if origin == settings.origin() => true,
            Some(origin) => {
                let host = origin.split_once("://").map(|(_, host)| host);
                host.is_some() && host == text(header::HOST)
            }
        },
    }
}

/// A secret of 256 bits, as text.
pub(crate) fn secret_text() -> Result<String, crate::error::WebError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(crate::error::WebError::internal)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is stored of a secret: it is random, so that its plain hash gives nothing away.
pub(crate) fn secret_hash(text: &str) -> String {
    hex_text(&secret_digest(text))
}

/// The same as bytes.
pub(crate) fn secret_digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Bytes in lower-case hexadecimal digits, without the detour over single characters: this is done for every request.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    let mut digits = vec![0; bytes.len() * 2];
    // The room is exactly what is needed, and digits are ASCII.
    let _ = hex::encode_to_slice(bytes, &mut digits);
    String::from_utf8(digits).unwrap_or_default()
}

/// What the tokens of a session's forms are made from.
#[derive(Clone)]
pub(crate) struct FormSecret([u8; 32]);

impl std::fmt::Debug for FormSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("FormSecret")
    }
}

impl FormSecret {
    /// Follows from the session's secret, and does not lead back to it.
    pub(crate) fn of_session(secret: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"leasehold form\0");
        hasher.update(secret.as_bytes());
        Self(hasher.finalize().into())
    }

    /// A token for one form. Each is different, so that the length of compressed pages tells nothing about it.
    pub(crate) fn token(&self) -> String {
        let mut bytes = [0_u8; 64];
        // Without randomness the mask is nothing but zeros: the token still works.
        let _ = getrandom::fill(&mut bytes[..32]);
        for index in 0..32 {
            bytes[32 + index] = bytes[index] ^ self.0[index];
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether a token belongs to this session. Takes as long for a wrong one as for the right one.
    pub(crate) fn matches(&self, token: &str) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else { return false };
        bytes.len() == 64
            && (0..32).fold(0, |all, index| all | (bytes[index] ^ bytes[32 + index] ^ self.0[index])) == 0
    }
}

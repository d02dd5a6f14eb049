//! A device with a passkey, as the Web Authentication standard has it, made from nothing but a number.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Somebody is at the device.
const PRESENT: u8 = 0x01;
/// The device knows that it is its user: by finger, face or PIN.
const VERIFIED: u8 = 0x04;
/// A new key comes with the answer.
const WITH_KEY: u8 = 0x40;

/// A device.
#[derive(Clone)]
pub struct Device {
    key: SigningKey,
    credential: Vec<u8>,
    origin: String,
    /// Whom the key is for: what the server calls the user.
    pub user: String,
    /// How often it has signed.
    pub counter: u32,
    /// Whether it asks for finger, face or PIN.
    pub verifies: bool,
}

impl Device {
    /// A device in front of an origin, with a key of this number.
    pub fn new(origin: &str, seed: u8) -> Self {
        let key = SigningKey::from_slice(&[seed; 32]).expect("a key");
        let credential = vec![seed; 16];
        Self { key, credential, origin: origin.to_owned(), user: String::new(), counter: 0, verifies: true }
    }

    /// The credential's id, as the server writes it.
    pub fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.credential)
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let challenge = &options["publicKey"]["challenge"];
        json!({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false})
            .to_string()
            .into_bytes()
    }

    fn authenticator_data(&mut self, rp_id: &Value, flags: u8) -> Vec<u8> {
        self.counter += 1;
        let mut data = Sha256::digest(rp_id.as_str().expect("a name").as_bytes()).to_vec();
        data.push(flags | PRESENT | if self.verifies { VERIFIED } else { 0 });
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// Makes the key that the server asks for.
    pub fn create(&mut self, options: &Value) -> Value {
        self.user = options["publicKey"]["user"]["id"].as_str().expect("a user").to_owned();
        let mut data = self.authenticator_data(&options["publicKey"]["rp"]["id"], WITH_KEY);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.credential.len()).expect("short").to_be_bytes());
        data.extend(&self.credential);
        let point = self.key.verifying_key().to_sec1_point(false);
        let (x, y) = (point.x().expect("a point"), point.y().expect("a point"));
        // COSE (RFC 9053): {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(x);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(y);
        // CBOR: {"fmt": "none", "attStmt": {}, "authData": data}.
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".to_vec();
        object.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        object.extend(data);
        let client = self.client_data("webauthn.create", options);
        json!({
            "id": self.id(), "rawId": self.id(), "type": "public-key",
            "response": {
                "attestationObject": URL_SAFE_NO_PAD.encode(object),
                "clientDataJSON": URL_SAFE_NO_PAD.encode(client),
            },
        })
    }

    /// Signs what the server asks to be signed.
    pub fn get(&mut self, options: &Value) -> Value {
        let data = self.authenticator_data(&options["publicKey"]["rpId"], 0);
        let client = self.client_data("webauthn.get", options);
        let signed = [data.as_slice(), Sha256::digest(&client).as_slice()].concat();
        let signature: Signature = self.key.sign(&signed);
        json!({
            "id": self.id(), "rawId": self.id(), "type": "public-key",
            "response": {
                "authenticatorData": URL_SAFE_NO_PAD.encode(data),
                "clientDataJSON": URL_SAFE_NO_PAD.encode(client),
                "signature": URL_SAFE_NO_PAD.encode(signature.to_der()),
                "userHandle": self.user,
            },
        })
    }
}

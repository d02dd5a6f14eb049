//! A password for a role, of which the server is told the verifier only: what it is never reaches the server's logs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{IssueRequest, Issued};
use secrecy::ExposeSecret;
use sha2::{Digest as _, Sha256};

use crate::error::ConnectError;
use crate::issue::{self, IS_DISABLED, IS_OUR_OWN, new_password, random};
use crate::postgres::client::Client;
use crate::postgres::execute::{Failure, commit, named, run};
use crate::postgres::read_back::{keyed, role};
use crate::postgres::sql_accounts;

/// As many as the server itself takes, unless it is told otherwise.
const ITERATIONS: u32 = 4096;
const SALT_BYTES: usize = 16;

/// Sets a new password in place of the one that is there.
pub(super) async fn issue(client: &Client, request: &IssueRequest) -> Result<Issued, ConnectError> {
    let settings = &client.settings;
    let (system, login) = (settings.system.as_str(), request.account.login.as_str());
    let refused = |why: String| issue::refused(system, login, why);
    let account = keyed(&request.account);
    let mut session = client.session().await?;
    let Some(found) = role(client, &mut session, &account).await? else {
        return Err(refused(format!("there is no role `{}`", account.key)));
    };
    if found.is_ours {
        return Err(refused(IS_OUR_OWN.to_owned()));
    }
    if !found.can_log_in {
        return Err(refused(IS_DISABLED.to_owned()));
    }
    if found.is_past {
        return Err(refused(
            "its VALID UNTIL is past, and no password lets it in; change that by ALTER ROLE … VALID UNTIL"
                .to_owned(),
        ));
    }
    let password = new_password(system)?;
    let mut salt = [0; SALT_BYTES];
    random(system, &mut salt)?;
    let verifier = verifier(password.expose_secret(), &salt, ITERATIONS);
    let [subject, member, part, _] = named(&account);
    let outcome =
        match run(client, &mut session, [subject, member, part, &verifier], sql_accounts::SET_PASSWORD)
            .await?
        {
            Ok(()) => commit(client, &mut session, "password set").await?,
            Err(Failure::Dependants { why } | Failure::Denied { why }) => return Err(refused(why)),
            Err(Failure::Outcome(outcome)) => outcome,
        };
    client.keep(session).await;
    issue::made(system, login, outcome)?;
    Ok(Issued {
        credential: None,
        kind: CredentialKind::Password,
        secret: password,
        instructions: format!(
            "The password of `{}` at {}. It takes the place of an earlier one; change it by \\password in psql.",
            account.key, settings.address
        ),
    })
}

/// What the server keeps of a password (RFC 5802 and RFC 7677). The password is plain ASCII, which SASLprep leaves as it is.
fn verifier(password: &str, salt: &[u8], iterations: u32) -> String {
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut salted);
    let stored = Sha256::digest(keyed_hash(&salted, b"Client Key"));
    let server = keyed_hash(&salted, b"Server Key");
    format!(
        "SCRAM-SHA-256${iterations}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server)
    )
}

fn keyed_hash(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    // An HMAC takes keys of any length; this arm is never reached.
    let Ok(mut hash) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    hash.update(text);
    hash.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange that RFC 7677 shows in section 3, by whose numbers the proof and the signature must come out.
    #[test]
    fn the_verifier_is_that_of_the_standard() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = verifier("pencil", &salt, 4096);
        let keys = verifier.strip_prefix("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$").unwrap();
        let (stored, server) = keys.split_once(':').unwrap();
        let key = |text: &str| <[u8; 32]>::try_from(STANDARD.decode(text).unwrap()).unwrap();
        let exchange = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = keyed_hash(&key(server), exchange.as_bytes());
        assert_eq!(STANDARD.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let proof = key("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let mask = keyed_hash(&key(stored), exchange.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(mask).map(|(proof, mask)| proof ^ mask).collect();
        assert_eq!(STANDARD.encode(Sha256::digest(client_key)), stored);
    }
}

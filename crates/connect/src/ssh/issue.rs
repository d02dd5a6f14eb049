//! A key for an account, beside those that it has: the pair is made here, and the host is told the public part only.

use jiff::Timestamp;
use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{CredentialTarget, IssueRequest, Issued};
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use russh::keys::{HashAlg, PrivateKey};
use secrecy::{ExposeSecret, ExposeSecretMut, SecretBox, SecretString};

use crate::error::ConnectError;
use crate::issue::{self, IS_DISABLED, IS_OUR_OWN, random};
use crate::ssh::client::{Client, Session};
use crate::ssh::enumerate::credential_key;
use crate::ssh::host::Host;
use crate::ssh::read_back::name_of;
use crate::ssh::scripts;

const OPERATION: &str = "adding a key";
const IS_ROOT: &str =
    "it is root, whom people become by sudo; a key for it is written by whoever administers the host";

/// Makes a pair of keys, and lets the account in by it.
pub(super) async fn issue(client: &Client, request: &IssueRequest) -> Result<Issued, ConnectError> {
    let refused = |why: String| issue::refused(&client.settings.system, &request.account.login, why);
    let name = name_of(&request.account).map_err(refused)?;
    if name == client.settings.user {
        return Err(refused(IS_OUR_OWN.to_owned()));
    }
    let session = client.session().await?;
    let issued = issue_now(client, &session, request, name).await;
    session.close().await;
    issued
}

async fn issue_now(
    client: &Client,
    session: &Session<'_>,
    request: &IssueRequest,
    name: &str,
) -> Result<Issued, ConnectError> {
    let settings = &client.settings;
    let refused = |why: String| issue::refused(&settings.system, &request.account.login, why);
    let host = Host::read_of(client, session, name).await?;
    let Some(user) = host.users.get(name) else {
        return Err(refused(format!("there is no account `{name}`")));
    };
    if user.uid == 0 {
        return Err(refused(IS_ROOT.to_owned()));
    }
    if !user.has_shell() {
        return Err(refused(format!(
            "its shell is {}, which lets nobody in; set one by usermod --shell",
            user.shell
        )));
    }
    if !user.is_enabled(Timestamp::now()) {
        return Err(refused(IS_DISABLED.to_owned()));
    }
    if let Some(why) = host.missing.iter().find(|why| why.contains("authorized_keys")) {
        return Err(refused(format!("what is not read is not changed: {why}")));
    }
    let pair = new_pair(client)?;
    let unusable = |error| client.wrong(OPERATION, format!("the new key has no form of OpenSSH: {error}"));
    let line = pair.public_key().to_openssh().map_err(unusable)?;
    let mut private = pair.to_openssh(LineEnding::LF).map_err(unusable)?;
    // Taken, and not copied: it is wiped where it goes.
    let secret = SecretString::from(std::mem::take(&mut *private));
    add(client, session, request, name, &line).await?;
    let fingerprint = pair.fingerprint(HashAlg::Sha256).to_string();
    Ok(Issued {
        credential: Some(CredentialTarget {
            key: credential_key(name, &fingerprint),
            kind: CredentialKind::SshKey,
        }),
        kind: CredentialKind::SshKey,
        secret,
        instructions: format!(
            "The private key {fingerprint} of `{name}` at {}. Save it in a file that only you can read, with a line break at its end, \
             and log in by ssh -i FILE -p {} {name}@{}; ssh-keygen -p -f FILE puts a passphrase on it. Earlier keys let in \
             until they are revoked.",
            settings.address(),
            settings.port,
            settings.host
        ),
    })
}

/// A pair of keys from the operating system's generator.
fn new_pair(client: &Client) -> Result<PrivateKey, ConnectError> {
    let mut seed = SecretBox::new(Box::new([0; Ed25519PrivateKey::BYTE_SIZE]));
    random(&client.settings.system, seed.expose_secret_mut())?;
    let pair = KeypairData::from(Ed25519Keypair::from_seed(seed.expose_secret()));
    // By which people know it again in the file.
    let comment = format!("issued by Leasehold {}", Timestamp::now().strftime("%Y-%m-%d"));
    PrivateKey::new(pair, comment)
        .map_err(|error| client.wrong(OPERATION, format!("the new key cannot be used: {error}")))
}

/// Writes the public key into the account's file.
async fn add(
    client: &Client,
    session: &Session<'_>,
    request: &IssueRequest,
    name: &str,
    line: &str,
) -> Result<(), ConnectError> {
    let refused = |why: String| Err(issue::refused(&client.settings.system, &request.account.login, why));
    let answer = session.run(OPERATION, &scripts::ADD_KEY, format!("{name}\n{line}\n").as_bytes()).await?;
    let place = answer.message;
    match answer.status {
        0 => Ok(()),
        scripts::NO_ACCOUNT => refused("the account went away meanwhile".to_owned()),
        scripts::IS_ROOT => refused(IS_ROOT.to_owned()),
        scripts::KEYS_ARE_ELSEWHERE => refused(format!(
            "sshd takes keys from {place} (AuthorizedKeysFile) and not from .ssh/authorized_keys; have the key written there"
        )),
        scripts::NO_HOME => {
            refused(format!("its home folder `{place}` is not there; make it, and its owner the account"))
        }
        scripts::IS_LINK => refused(format!(
            "{place} is a link, or stands in one, and what it leads to is not changed; put a file of its own there"
        )),
        scripts::CHANGED => {
            Err(client.wrong(OPERATION, format!("the keys of {name} were changed meanwhile; ask again")))
        }
        status => refused(format!("the host's command ended with {status}: {place}")),
    }
}

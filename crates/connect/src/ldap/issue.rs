//! A password for an account: by the password modify operation, and in Active Directory as its own attribute wants it.

use std::collections::HashSet;

use jiff::Timestamp;
use ldap3::{LdapResult, Mod};
use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{IssueRequest, Issued};
use secrecy::{ExposeSecret, SecretString};

use crate::error::ConnectError;
use crate::issue::{self, IS_DISABLED, IS_OUR_OWN, new_password};
use crate::ldap::client::{Client, Session, code, describe, one};
use crate::ldap::dialect::Dialect;
use crate::ldap::entry::Entry;
use crate::ldap::execute::judge;
use crate::ldap::find::{account_not_seen, find_account, keyed, ourselves};
use crate::ldap::normalise::{awaits_credential, login, state};
use crate::ldap::policy::Policies;
use crate::ldap::switch::flag;

/// An `accountExpires` that never comes.
const NEVER: &str = "0";

/// Sets a new password in place of the one that is there.
pub(super) async fn issue(client: &Client, request: &IssueRequest) -> Result<Issued, ConnectError> {
    let refused = |why: String| issue::refused(&client.settings.system, &request.account.login, why);
    let mut session = client.session().await?;
    let target = keyed(client, &mut session, &request.account).await?.map_err(refused)?;
    let Some(account) = find_account(client, &mut session, &target).await? else {
        return Err(refused(account_not_seen(&target, &client.settings.base_dn)));
    };
    if let Some((_, Some(key))) = ourselves(client, &mut session).await?
        && key == target.key.as_str()
    {
        return Err(refused(IS_OUR_OWN.to_owned()));
    }
    let has_none_yet = session.dialect == Dialect::ActiveDirectory && awaits_credential(&account);
    let policies = Policies::read(client, &mut session).await?;
    let before = state(session.dialect, &policies, &account);
    if !before.enabled && !has_none_yet {
        return Err(refused(IS_DISABLED.to_owned()));
    }
    if !before.lets_in(Timestamp::now()) && !has_none_yet {
        return Err(refused("the account's end is past; change that in the directory first".to_owned()));
    }
    if session.dialect == Dialect::ActiveDirectory && client.settings.tls.is_none() {
        let why = "a domain takes passwords over TLS only; use `ldaps://` or `start_tls = true`";
        return Err(refused(why.to_owned()));
    }
    let password = new_password(&client.settings.system)?;
    let instructions = match session.dialect {
        Dialect::OpenLdap => open_ldap(client, &mut session, request, &account, &password).await?,
        Dialect::ActiveDirectory => {
            active_directory(client, &mut session, request, &account, &password, has_none_yet).await?
        }
    };
    client.keep(session).await;
    Ok(Issued { credential: None, kind: CredentialKind::Password, secret: password, instructions })
}

async fn open_ldap(
    client: &Client,
    session: &mut Session,
    request: &IssueRequest,
    account: &Entry,
    password: &SecretString,
) -> Result<String, ConnectError> {
    let result = client.set_password(session, &account.dn, password).await?;
    let needed = format!("write userPassword of {}", account.dn);
    accepted(client, request, &result, &needed)?;
    Ok(format!(
        "The password of {} in the directory at {}. It takes the place of an earlier one.",
        account.dn, client.settings.address
    ))
}

/// MS-ADTS, 3.1.1.3.1.5: the password in quotes, as UTF-16, over an encrypted connection.
async fn active_directory(
    client: &Client,
    session: &mut Session,
    request: &IssueRequest,
    account: &Entry,
    password: &SecretString,
    has_none_yet: bool,
) -> Result<String, ConnectError> {
    let quoted = SecretString::from(format!("\"{}\"", password.expose_secret()));
    let encoded: Vec<u8> = quoted.expose_secret().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let replace = |name: &str, value: Vec<u8>| Mod::Replace(name.as_bytes().to_vec(), HashSet::from([value]));
    // Zero says that it has to be changed.
    let changes = vec![replace("unicodePwd", encoded), replace("pwdLastSet", b"0".to_vec())];
    let result = client.modify(session, &account.dn, changes).await?;
    accepted(client, request, &result, &format!("reset the password of {}", account.dn))?;
    if has_none_yet {
        let mut changes = flag(account, false)
            .map_err(|why| issue::refused(&client.settings.system, &request.account.login, why))?;
        changes.push(Mod::Replace("accountExpires".to_owned(), one(NEVER)));
        let result = client.modify(session, &account.dn, changes).await?;
        let needed = format!("write userAccountControl and accountExpires of {}", account.dn);
        accepted(client, request, &result, &needed)?;
    }
    let name = login(session.dialect, account).unwrap_or_else(|| request.account.login.clone());
    Ok(format!(
        "The password of `{name}` in the domain at {}, which wants it changed at the next log-in. An earlier one may let in \
         for an hour more.",
        client.settings.address
    ))
}

/// An error where the directory did not accept a change.
fn accepted(
    client: &Client,
    request: &IssueRequest,
    result: &LdapResult,
    needed: &str,
) -> Result<(), ConnectError> {
    let (system, login) = (client.settings.system.as_str(), request.account.login.as_str());
    match result.rc {
        code::INSUFFICIENT_ACCESS => Err(issue::refused(
            system,
            login,
            format!("{}; the connector's account must be able to {needed}", describe(result)),
        )),
        _ => issue::made(system, login, judge(result, String::new())),
    }
}

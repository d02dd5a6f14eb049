//! A password for an account, of which the server is told the hash only: what it is never reaches the server's logs.

use leasehold_model::credential::CredentialKind;
use leasehold_model::request::{IssueRequest, Issued};
use secrecy::ExposeSecret;
use sha1::{Digest as _, Sha1};

use crate::error::ConnectError;
use crate::issue::{self, IS_DISABLED, IS_OUR_OWN, new_password};
use crate::mariadb::client::Client;
use crate::mariadb::execute::{Names, run};
use crate::mariadb::name::AccountName;
use crate::mariadb::read_back::{keyed, still};
use crate::mariadb::sql;

/// The plugin that lets in by password, and what an account is that names none.
const BY_PASSWORD: [&str; 2] = ["mysql_native_password", ""];

/// Sets a new password in place of the one that is there.
pub(super) async fn issue(client: &Client, request: &IssueRequest) -> Result<Issued, ConnectError> {
    let settings = &client.settings;
    let (system, login) = (settings.system.as_str(), request.account.login.as_str());
    let refused = |why: String| issue::refused(system, login, why);
    let mut session = client.session().await?;
    let target = keyed(client, &mut session, &request.account).await?.map_err(refused)?;
    if target.is_by_login() {
        return Err(refused("there is no such account".to_owned()));
    }
    let account = AccountName::parse(&target.key).map_err(refused)?;
    let catalogue = still(client, &mut session).await?;
    let Some(state) = catalogue.accounts.get(&account) else {
        return Err(refused(format!("there is no account `{}`", account.key())));
    };
    if session.ourselves == account {
        return Err(refused(IS_OUR_OWN.to_owned()));
    }
    if state.locked {
        return Err(refused(IS_DISABLED.to_owned()));
    }
    if state.lets_in_otherwise || !BY_PASSWORD.contains(&state.plugin.as_str()) {
        return Err(refused(format!(
            "what lets it in ({}{}) would have to make way for a password; change that by ALTER USER",
            state.plugin,
            if state.lets_in_otherwise { " or another plugin" } else { "" }
        )));
    }
    let checking = sqlx::query(sql::CHECKS_PASSWORDS).fetch_one(&mut session.connection);
    let checks: i64 = client.get(&client.wait("reading settings", checking).await?, 0)?;
    if checks != 0 {
        return Err(refused(
            "the server takes no hash, because a plugin looks at every password (strict_password_validation): set one \
             there by SET PASSWORD, or turn that off"
                .to_owned(),
        ));
    }
    let password = new_password(system)?;
    let names = Names { words: hash(password.expose_secret()), account: Some(&account), ..Names::default() };
    let outcome = run(client, &mut session, sql::SET_PASSWORD, &names, "password set").await?;
    client.keep(session).await;
    issue::made(system, login, outcome)?;
    Ok(Issued {
        credential: None,
        kind: CredentialKind::Password,
        secret: password,
        instructions: format!(
            "The password of `{}` at {}. It takes the place of an earlier one; change it by SET PASSWORD.",
            account.key(),
            settings.address
        ),
    })
}

/// What `mysql_native_password` keeps of a password.
fn hash(password: &str) -> String {
    let twice = Sha1::digest(Sha1::digest(password.as_bytes()));
    let digits: String = twice.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("*{digits}")
}

#[cfg(test)]
mod tests {
    /// The hash that the server's manual shows.
    #[test]
    fn the_hash_is_the_servers() {
        assert_eq!(super::hash("mariadb"), "*54958E764CE10E50764C2EECBB71D01F08549980");
    }
}

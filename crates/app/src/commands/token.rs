//! `leasehold token`: secrets by which scripts use the API, each with its scopes and its end.

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use leasehold_store::{ApiToken, User, UserState};
use leasehold_web::{DAYS_DEFAULT, DAYS_MAX, Scope, WebError, create_token};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Outcome;
use crate::context::{Common, Context, actor};
use crate::output;
use crate::remote::{Nothing, Remote};

/// Arguments of `token`.
#[derive(Debug, clap::Args)]
pub struct TokenCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a token and print it, once
    Create {
        /// What it may be used for; may be given several times
        #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',', value_parser = scope_names())]
        scopes: Vec<String>,
        /// What it is for
        #[arg(long, default_value = "made by `leasehold token create`", value_name = "TEXT")]
        name: String,
        /// The mail address of the user whose authority it has; without one, the only administrator's
        #[arg(long, value_name = "MAIL")]
        user: Option<String>,
        /// The one system that identities are pushed into, with the scope scim
        #[arg(long, value_name = "SYSTEM")]
        system: Option<String>,
        /// How many days it lasts
        #[arg(long, default_value_t = DAYS_DEFAULT, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=DAYS_MAX))]
        days: i64,
    },
    /// List tokens; their secrets are kept nowhere
    List,
    /// End a token now
    Revoke {
        /// Its id, as `token list` shows it
        id: String,
    },
}

/// The scopes that there are, for the command line.
pub fn scope_names() -> clap::builder::PossibleValuesParser {
    Scope::ALL.iter().map(|scope| scope.name()).collect::<Vec<_>>().into()
}

/// A token in the documented form.
#[derive(Serialize, Deserialize)]
struct Row {
    id: String,
    user: String,
    name: String,
    scopes: Vec<String>,
    system: Option<String>,
    created_at: Timestamp,
    expires_at: Timestamp,
    last_used_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

impl TokenCommand {
    /// Makes, lists or ends tokens in the store of this installation, or at a server.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        if let Some(remote) = Remote::of(common)? {
            return self.ask(&remote, common.json).await;
        }
        let context = Context::open_to_change(common).await?;
        match self.what {
            What::Create { scopes, name, user, system, days } => {
                let made = create(&context, &scopes, &name, user.as_deref(), system.as_deref(), days);
                let (row, secret) = made.await?;
                show_made(common.json, &row, &secret)
            }
            What::List => {
                let (tokens, users) = (context.store.tokens(None).await?, context.store.users().await?);
                let rows: Vec<Row> = tokens.into_iter().map(|token| row(token, &users)).collect();
                show_list(common.json, &rows)
            }
            What::Revoke { id } => revoke(&context, &id).await,
        }
    }

    async fn ask(self, remote: &Remote, json: bool) -> anyhow::Result<Outcome> {
        #[derive(Deserialize)]
        struct Made {
            token: Row,
            secret: String,
        }
        #[derive(Deserialize)]
        struct List {
            items: Vec<Row>,
        }
        #[derive(Deserialize)]
        struct Me {
            may: Vec<String>,
        }
        match self.what {
            What::Create { user: Some(_), .. } => bail!(
                "a server makes a token of whoever asks for it, so --user does not go with a server; leave it out"
            ),
            What::Create { scopes, name, user: None, system, days } => {
                let new = json!({"name": name, "scopes": scopes, "system": system, "days": days});
                let Made { token, secret } = remote.post(&["tokens"], &[], new).await?;
                show_made(json, &token, &secret)
            }
            What::List => {
                // Everybody's, for those who may see them; else one's own.
                let Me { may } = remote.get(&["me"], &[]).await?;
                let all = may.iter().any(|action| action == "see_settings").to_string();
                let List { items } = remote.get(&["tokens"], &[("all", all)]).await?;
                show_list(json, &items)
            }
            What::Revoke { id } => {
                let Nothing {} = remote.delete(&["tokens", &id]).await?;
                show_revoked(&id)
            }
        }
    }
}

async fn create(
    context: &Context,
    scopes: &[String],
    name: &str,
    mail: Option<&str>,
    system: Option<&str>,
    days: i64,
) -> anyhow::Result<(Row, String)> {
    if let Some(system) = system {
        context.system_name(system)?;
        let kind = context.config.table(system).and_then(|table| table.get("connector"));
        let pushes = kind.and_then(toml::Value::as_str) == Some("scim_push");
        anyhow::ensure!(
            pushes,
            "`{system}` is read and not pushed, so a token of it would open nothing; give it `connector = \"scim_push\"`, or name a \
             system that has it; no token was made"
        );
    }
    let user = owner(context, mail).await?;
    let made = create_token(&context.store, &user, name, scopes, system, days, &actor(), context.now()).await;
    let made = made.map_err(|error| match error {
        WebError::Invalid(fields) => {
            let words: Vec<String> = fields.into_iter().map(|field| field.message).collect();
            anyhow::anyhow!("{}; no token was made", words.join("; "))
        }
        other => other.into(),
    })?;
    context.publish().await?;
    Ok((row(made.token, std::slice::from_ref(&user)), made.secret))
}

fn show_made(json: bool, token: &Row, secret: &str) -> anyhow::Result<Outcome> {
    if json {
        let mut row = json!(token);
        row["token"] = json!(secret);
        output::json(&json!({"items": [row], "summary": {"total": 1}}))?;
    } else {
        // The secret alone on standard output, so that a script can take it.
        output::line(secret)?;
        output::remark(format!(
            "token {} of {}: {}{}, until {}; it is shown this once",
            token.id,
            token.user,
            token.scopes.join(", "),
            token.system.as_ref().map(|system| format!(" for {system}")).unwrap_or_default(),
            token.expires_at
        ));
    }
    Ok(Outcome::Clean)
}

/// Whose authority a token gets. A token never may more than its owner.
async fn owner(context: &Context, mail: Option<&str>) -> anyhow::Result<User> {
    if let Some(mail) = mail {
        let user = context.store.user_by_mail(mail).await?;
        let user = user.filter(|user| user.state == UserState::Active);
        return user.with_context(|| format!("`{mail}` is no active user; name another with --user"));
    }
    let mut users = context.store.users().await?;
    if users.is_empty() {
        bail!(
            "there is no user yet whose authority a token could have; run `leasehold serve` and open the link that it prints"
        );
    }
    users.retain(|user| {
        user.state == UserState::Active && user.roles.iter().any(|role| role == "administrator")
    });
    match <[User; 1]>::try_from(users) {
        Ok([user]) => Ok(user),
        Err(users) => bail!("there are {} active administrators; name one with --user", users.len()),
    }
}

fn show_list(json: bool, rows: &[Row]) -> anyhow::Result<Outcome> {
    if json {
        output::json(&json!({"items": rows, "summary": {"total": rows.len()}}))?;
    } else if rows.is_empty() {
        output::line("no token was made")?;
    } else {
        let mut table = output::table(&["id", "user", "name", "scopes", "until", "last used", "revoked"]);
        let when =
            |at: Option<Timestamp>, never: &str| at.map_or_else(|| never.to_owned(), |at| at.to_string());
        for token in rows {
            table.add_row([
                token.id.clone(),
                token.user.clone(),
                output::safe(&token.name).to_string(),
                match &token.system {
                    Some(system) => format!("{} for {system}", token.scopes.join(", ")),
                    None => token.scopes.join(", "),
                },
                token.expires_at.to_string(),
                when(token.last_used_at, "never"),
                when(token.revoked_at, "-"),
            ]);
        }
        output::line(table)?;
    }
    Ok(Outcome::Clean)
}

async fn revoke(context: &Context, id: &str) -> anyhow::Result<Outcome> {
    if !context.store.revoke_token(id, None, &actor(), context.now()).await? {
        bail!("there is no token `{id}` in force; `leasehold token list` shows what there is");
    }
    context.publish().await?;
    show_revoked(id)
}

fn show_revoked(id: &str) -> anyhow::Result<Outcome> {
    output::line(format!("token {id} ended; whoever shows it from now on is refused"))?;
    Ok(Outcome::Clean)
}

fn row(token: ApiToken, users: &[User]) -> Row {
    let owner = users.iter().find(|user| user.id == token.user);
    Row {
        user: owner.map_or(token.user, |user| user.mail.clone()),
        id: token.id,
        name: token.name,
        scopes: token.scopes,
        system: token.system,
        created_at: token.created_at,
        expires_at: token.expires_at,
        last_used_at: token.last_used_at,
        revoked_at: token.revoked_at,
    }
}

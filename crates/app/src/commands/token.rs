//! `leasehold token`: tokens by which programs call the API, made on the machine that has the store.

use anyhow::{Context as _, bail};
use leasehold_store::{ApiToken, User};
use leasehold_web::{DAYS_DEFAULT, Scope, WebError, create_token};
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::{Common, Context, actor};
use crate::output;

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
        #[arg(long = "scope", required = true, value_parser = scope)]
        scopes: Vec<Scope>,
        /// Whose authority it has, at most: a user's mail address; needed where there are several administrators
        #[arg(long, value_name = "MAIL")]
        user: Option<String>,
        /// What it is for
        #[arg(long, default_value = "command line")]
        name: String,
        /// Days until it ends, at most 366
        #[arg(long, value_name = "DAYS", default_value_t = DAYS_DEFAULT)]
        expires: i64,
    },
    /// List tokens
    List,
    /// Revoke a token
    Revoke {
        /// Its id, from `token list`
        id: String,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name()).collect();
    Scope::parse(text).ok_or_else(|| format!("there are {}", known.join(", ")))
}

impl TokenCommand {
    /// Makes, lists or revokes.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let context = Context::open_to_change(common).await?;
        match self.what {
            What::Create { scopes, user, name, expires } => {
                let owner = owner(&context, user.as_deref()).await?;
                let scopes: Vec<String> = scopes.iter().map(|scope| scope.name().to_owned()).collect();
                let (by, now) = (actor(), context.now());
                let made = create_token(&context.store, &owner, &name, &scopes, expires, &by, now);
                let made = made.await.map_err(complaint)?;
                context.publish().await?;
                if context.json {
                    let mut row = row(&made.token);
                    row["secret"] = json!(made.secret);
                    output::json(&row)?;
                } else {
                    output::remark(format!(
                        "a token of {}, until {}; it is not shown again",
                        owner.mail, made.token.expires_at
                    ));
                    output::line(made.secret)?;
                }
            }
            What::List => {
                let tokens = context.store.tokens(None).await?;
                if context.json {
                    let rows: Vec<Value> = tokens.iter().map(row).collect();
                    output::json(&json!({"items": rows, "summary": {"total": rows.len()}}))?;
                } else {
                    show(&context, &tokens).await?;
                }
            }
            What::Revoke { id } => {
                if !context.store.revoke_token(&id, None, &actor(), context.now()).await? {
                    bail!("there is no token `{id}` in force; `leasehold token list` shows them");
                }
                context.publish().await?;
                if context.json {
                    output::json(&json!({"id": id, "revoked": true}))?;
                } else {
                    output::line("the token is revoked")?;
                }
            }
        }
        Ok(Outcome::Clean)
    }
}

/// What is wrong with each argument.
fn complaint(error: WebError) -> anyhow::Error {
    match error {
        WebError::Invalid(fields) => {
            let lines: Vec<String> =
                fields.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
            anyhow::anyhow!(lines.join("\n"))
        }
        error => error.into(),
    }
}

async fn owner(context: &Context, mail: Option<&str>) -> anyhow::Result<User> {
    if let Some(mail) = mail {
        let user = context.store.user_by_mail(mail).await?;
        return user.with_context(|| format!("there is no user `{mail}`; `leasehold user list` shows them"));
    }
    let users = context.store.users().await?;
    let mut administrators =
        users.into_iter().filter(|user| user.roles.iter().any(|role| role == "administrator"));
    match (administrators.next(), administrators.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => {
            bail!("there are several administrators: say whose token this is with --user MAIL")
        }
        (None, _) => bail!(
            "nobody can sign in yet, so nobody can own a token; make a user with `leasehold user add`, or start \
             `leasehold serve` and follow the link that it prints"
        ),
    }
}

fn row(token: &ApiToken) -> Value {
    json!({
        "id": token.id,
        "user": token.user,
        "name": token.name,
        "scopes": token.scopes,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "revoked_at": token.revoked_at,
    })
}

async fn show(context: &Context, tokens: &[ApiToken]) -> anyhow::Result<()> {
    if tokens.is_empty() {
        output::line("there are no tokens")?;
        return Ok(());
    }
    let users = context.store.users().await?;
    let mut table = output::table(&["id", "user", "name", "scopes", "state", "last used"]);
    for token in tokens {
        let mail = users.iter().find(|user| user.id == token.user).map_or("-", |user| user.mail.as_str());
        let state = match token.revoked_at {
            Some(at) => format!("revoked {at}"),
            None if token.expires_at <= context.now() => format!("expired {}", token.expires_at),
            None => format!("until {}", token.expires_at),
        };
        let last_used = token.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        table.add_row([
            token.id.as_str(),
            mail,
            token.name.as_str(),
            &token.scopes.join(", "),
            &state,
            &last_used,
        ]);
    }
    output::line(table)?;
    Ok(())
}

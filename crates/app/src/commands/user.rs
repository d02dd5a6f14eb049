//! `leasehold user`: who may sign in to the server, made on the machine that has the store. This is also the way back
//! in for somebody who has lost their password or device.

use anyhow::Context as _;
use leasehold_decide::authority::Role;
use leasehold_store::{LinkKind, NewUser, User};
use leasehold_web::user_link;
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::{Common, Context, actor};
use crate::output;

/// Arguments of `user`.
#[derive(Debug, clap::Args)]
pub struct UserCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a user, and print a link by which they set their password
    Add {
        /// Their mail address, as in the authoritative source: it says whose access is theirs
        mail: String,
        /// What they are called
        #[arg(long)]
        name: Option<String>,
        /// What they may do; may be given several times
        #[arg(long = "role", value_parser = role)]
        roles: Vec<Role>,
    },
    /// List users
    List,
    /// Print a link by which a user sets their password anew; with --sign-in, one that signs them in once
    Link {
        /// Their mail address
        mail: String,
        /// A link that signs in by itself, for 15 minutes
        #[arg(long)]
        sign_in: bool,
        /// Take their passkeys and one-time codes away, and end their sessions: their device is lost
        #[arg(long)]
        remove_factors: bool,
    },
}

fn role(text: &str) -> Result<Role, String> {
    let known: Vec<&str> = Role::ASSIGNED.iter().map(|role| role.name()).collect();
    Role::assigned(text).ok_or_else(|| format!("there are {}", known.join(", ")))
}

impl UserCommand {
    /// Makes, lists or prints a link.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let context = Context::open_to_change(common).await?;
        let now = context.now();
        match self.what {
            What::Add { mail, name, roles } => {
                anyhow::ensure!(
                    mail.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()),
                    "`{mail}` is not a mail address; write for example dana@example.com"
                );
                let new = NewUser {
                    name: name.unwrap_or_else(|| mail.clone()),
                    mail,
                    roles: roles.iter().map(|role| role.name().to_owned()).collect(),
                    password_hash: None,
                    password_alone: false,
                };
                let user = context.store.create_user(&new, &actor(), now).await?;
                print_link(&context, &user, LinkKind::Invitation).await?;
            }
            What::List => {
                let users = context.store.users().await?;
                if context.json {
                    let rows: Vec<Value> = users.iter().map(row).collect();
                    output::json(&json!({"items": rows, "summary": {"total": rows.len()}}))?;
                } else if users.is_empty() {
                    output::line("nobody can sign in yet")?;
                } else {
                    let mut table = output::table(&["mail", "name", "roles", "state", "last sign-in"]);
                    for user in &users {
                        let last =
                            user.last_sign_in_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
                        let mut held = [user.roles.as_slice(), user.provider_roles.as_slice()].concat();
                        held.sort_unstable();
                        held.dedup();
                        let roles = held.join(", ");
                        table.add_row([&user.mail, &user.name, &roles, user.state.as_str(), &last]);
                    }
                    output::line(table)?;
                }
            }
            What::Link { mail, sign_in, remove_factors } => {
                let user = context.store.user_by_mail(&mail).await?;
                let user = user.with_context(|| {
                    format!("there is no user `{mail}`; `leasehold user list` shows them")
                })?;
                if remove_factors {
                    context.store.remove_factors(&user.id, &actor(), now).await?;
                }
                let kind = if sign_in { LinkKind::SignIn } else { LinkKind::Invitation };
                print_link(&context, &user, kind).await?;
            }
        }
        context.publish().await?;
        Ok(Outcome::Clean)
    }
}

/// The link leads to the address in leasehold.toml; where none stands there, to where the server listens.
async fn print_link(context: &Context, user: &User, kind: LinkKind) -> anyhow::Result<()> {
    let server = &context.config.server;
    let url = server.url(server.listen)?;
    let link = user_link(&context.store, &url, kind, user, &actor(), context.now()).await?;
    if context.json {
        let mut row = row(user);
        row["link"] = json!(link);
        output::json(&row)?;
    } else {
        output::remark("whoever has this link is that user; it works once");
        output::line(link)?;
    }
    Ok(())
}

fn row(user: &User) -> Value {
    json!({
        "id": user.id,
        "mail": user.mail,
        "name": user.name,
        "roles": user.roles,
        "provider_roles": user.provider_roles,
        "state": user.state,
        "created_at": user.created_at,
        "last_sign_in_at": user.last_sign_in_at,
    })
}

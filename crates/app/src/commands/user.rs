//! `leasehold user`: who may sign in to the server, made on the machine that has the store. This is also the way back
//! in for somebody who has lost their password or device.

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use leasehold_decide::authority::Role;
use leasehold_store::{LinkKind, NewUser, User};
use leasehold_web::user_link;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Outcome;
use crate::context::{Common, Context, actor};
use crate::output;
use crate::remote::Remote;

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

/// A user in the documented form.
#[derive(Serialize, Deserialize)]
struct Row {
    id: String,
    mail: String,
    name: String,
    roles: Vec<String>,
    provider_roles: Vec<String>,
    state: String,
    created_at: Timestamp,
    last_sign_in_at: Option<Timestamp>,
}

impl UserCommand {
    /// Makes, lists or prints a link, here or at a server.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        match Remote::of(common)? {
            Some(remote) => self.ask(&remote, common.json).await,
            None => self.change(common).await,
        }
    }

    async fn change(self, common: &Common) -> anyhow::Result<Outcome> {
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
                let link = link(&context, &user, LinkKind::Invitation).await?;
                show_link(common.json, &Row::from(user), &link)?;
            }
            What::List => {
                let rows: Vec<Row> = context.store.users().await?.into_iter().map(Row::from).collect();
                show_list(common.json, &rows)?;
            }
            What::Link { mail, sign_in, remove_factors } => {
                let user = context.store.user_by_mail(&mail).await?.with_context(|| no_user(&mail))?;
                if remove_factors {
                    context.store.remove_factors(&user.id, &actor(), now).await?;
                }
                let kind = if sign_in { LinkKind::SignIn } else { LinkKind::Invitation };
                let link = link(&context, &user, kind).await?;
                show_link(common.json, &Row::from(user), &link)?;
            }
        }
        context.publish().await?;
        Ok(Outcome::Clean)
    }

    async fn ask(self, remote: &Remote, json: bool) -> anyhow::Result<Outcome> {
        #[derive(Deserialize)]
        struct List {
            items: Vec<Row>,
        }
        #[derive(Deserialize)]
        struct Invited {
            user: Row,
            link: String,
        }
        match self.what {
            What::Add { mail, name, roles } => {
                let roles: Vec<&str> = roles.iter().map(|role| role.name()).collect();
                let new = json!({"name": name.as_ref().unwrap_or(&mail), "mail": mail, "roles": roles});
                let Invited { user, link } = remote.post(&["users"], &[], new).await?;
                show_link(json, &user, &link)?;
            }
            What::List => {
                let List { items } = remote.get(&["users"], &[]).await?;
                show_list(json, &items)?;
            }
            What::Link { sign_in: true, .. } | What::Link { remove_factors: true, .. } => bail!(
                "--sign-in and --remove-factors do not work against a server: they are the way back in for whoever has the \
                 machine with the store; run them there"
            ),
            What::Link { mail, .. } => {
                let List { items } = remote.get(&["users"], &[]).await?;
                let user =
                    items.into_iter().find(|user| user.mail.to_lowercase() == mail.trim().to_lowercase());
                let user = user.with_context(|| no_user(&mail))?;
                let Invited { user, link } =
                    remote.post(&["users", &user.id, "invitation"], &[], json!({})).await?;
                show_link(json, &user, &link)?;
            }
        }
        Ok(Outcome::Clean)
    }
}

fn no_user(mail: &str) -> String {
    format!("there is no user `{mail}`; `leasehold user list` shows them")
}

fn show_list(json: bool, users: &[Row]) -> anyhow::Result<()> {
    if json {
        output::json(&json!({"items": users, "summary": {"total": users.len()}}))?;
    } else if users.is_empty() {
        output::line("nobody can sign in yet")?;
    } else {
        let mut table = output::table(&["mail", "name", "roles", "state", "last sign-in"]);
        for user in users {
            let last = user.last_sign_in_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
            let mut held = [user.roles.as_slice(), user.provider_roles.as_slice()].concat();
            held.sort_unstable();
            held.dedup();
            let roles = held.join(", ");
            table.add_row([user.mail.as_str(), &user.name, &roles, &user.state, &last]);
        }
        output::line(table)?;
    }
    Ok(())
}

/// The link leads to the address in leasehold.toml; where none stands there, to where the server listens.
async fn link(context: &Context, user: &User, kind: LinkKind) -> anyhow::Result<String> {
    let server = &context.config.server;
    let url = server.url(server.listen)?;
    Ok(user_link(&context.store, &url, kind, user, &actor(), context.now()).await?)
}

fn show_link(json: bool, user: &Row, link: &str) -> anyhow::Result<()> {
    if json {
        let mut row = json!(user);
        row["link"] = json!(link);
        output::json(&row)?;
    } else {
        output::remark("whoever has this link is that user; it works once");
        output::line(link)?;
    }
    Ok(())
}

impl From<User> for Row {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            mail: user.mail,
            name: user.name,
            roles: user.roles,
            provider_roles: user.provider_roles,
            state: user.state.as_str().to_owned(),
            created_at: user.created_at,
            last_sign_in_at: user.last_sign_in_at,
        }
    }
}

//! The practice company, watched by a server: it lives on, and a visitor sees drift appear and close.

use std::time::Duration;

use anyhow::Context as _;
use leasehold_connect::simulated::dice::Dice;
use leasehold_connect::simulated::{Company, World, open_shared};
use leasehold_reconcile::stages::observe::Observe;
use leasehold_store::{LinkKind, NewUser, User};
use leasehold_web::user_link;
use tokio::net::TcpListener;

use super::super::serve::{Stop, serve};
use super::super::{policy, sync};
use super::Demo;
use crate::Outcome;
use crate::context::Context;
use crate::output::{self, Tone, toned};

impl Demo {
    /// Starts the server and lets the company live on until somebody ends it.
    pub(super) async fn watch(self, context: Context) -> anyhow::Result<Outcome> {
        let listener = TcpListener::bind(self.listen).await.with_context(|| {
            format!(
                "cannot listen on {}; name another address with --listen, such as 127.0.0.1:0",
                self.listen
            )
        })?;
        let url = context.config.server.url(listener.local_addr()?)?;
        // The company is read and its policy applied before anybody looks.
        sync::sync(&context, &[], Observe::default()).await?;
        policy::apply_files(&context).await?;
        let visitor = visitor(&context).await?;
        let link = user_link(&context.store, &url, LinkKind::SignIn, &visitor, "demo", context.now()).await?;
        context.publish().await?;
        output::line(format!(
            "{}\na practice company of {} people in {}/; nothing outside of that folder is touched\n\n  {}\n\nopen this address within 15 minutes; it signs you in once, as {}.\nwhat cannot be undone asks after ten minutes that you sign in again; another link, which sets a password:\n  leasehold user link {4} --config {5}\nCtrl-C ends it; `leasehold demo --keep` goes on with it.\n",
            toned(
                "Leasehold: access is held for a reason, and when the reason ends it reverts",
                Tone::Strong
            ),
            self.people,
            self.folder.display(),
            toned(&link, Tone::Strong),
            visitor.mail,
            self.folder.join(crate::config::FILE_NAME).display(),
        ))?;
        let world = self.world(&context)?;
        let (seed, pace) = (self.seed, self.pace);
        let living = tokio::spawn(async move {
            if pace > 0 {
                live(&world, seed, Duration::from_secs(pace)).await;
            }
        });
        let served = serve(context, listener, url, Stop::at_signal()?).await;
        living.abort();
        served
    }

    /// The world that the connectors of this process share.
    fn world(&self, context: &Context) -> anyhow::Result<std::sync::Arc<World>> {
        let path = context.config.folder.join("company.json");
        let (seed, people) = (self.seed, usize::try_from(self.people)?);
        open_shared(&path, || Company::generate(seed, people))
            .with_context(|| format!("cannot read {}", path.display()))
    }
}

/// One thing happens after another, each told on a line.
async fn live(world: &World, seed: u64, pace: Duration) {
    let mut dice = Dice::new(seed);
    loop {
        tokio::time::sleep(pace).await;
        let now = jiff::Timestamp::now();
        match world.live_on(&mut dice, now) {
            Ok(None) => {}
            Ok(Some(happening)) => {
                let time = now.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string();
                if output::line(format!("{}  {happening}", toned(time, Tone::Quiet))).is_err() {
                    return;
                }
            }
            Err(error) => tracing::warn!(%error, "nothing could happen in the company"),
        }
    }
}

/// Who looks: the head of security, as an administrator.
async fn visitor(context: &Context) -> anyhow::Result<User> {
    let now = context.now();
    let snapshot = context.store.snapshot(None).await?;
    let head = snapshot.identities.iter().map(|(_, identity)| identity);
    let mut head = head.filter(|identity| identity.attribute("title") == Some("Head of Security"));
    let (mail, name) = match head.next() {
        Some(identity) => {
            let part = |name: &str| identity.attribute(name).unwrap_or_default().to_owned();
            (identity.key.to_string(), format!("{} {}", part("given_name"), part("family_name")))
        }
        None => ("visitor@example.com".to_owned(), "Visitor".to_owned()),
    };
    if let Some(user) = context.store.user_by_mail(&mail).await? {
        return Ok(user);
    }
    let user = NewUser {
        mail,
        name,
        roles: vec!["administrator".to_owned()],
        password_hash: None,
        password_alone: false,
    };
    Ok(context.store.create_user(&user, "demo", now).await?)
}

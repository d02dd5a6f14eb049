//! What the present state and the store say, at the instant of asking. What is not known is absent, and never 0.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_decide::lease::LeaseClass;
use leasehold_reconcile::view::View;
use leasehold_store::{ActionFilter, RevocationTimes};

use super::text::Text;
use crate::error::WebError;
use crate::heavy;
use crate::leavers::{Leavers, Times};
use crate::state::App;

/// Writes everything that is not counted as it happens.
///
/// # Errors
/// Where the store fails.
pub(super) async fn write(app: &App, text: &mut Text) -> Result<(), WebError> {
    let version = env!("CARGO_PKG_VERSION");
    text.gauges("leasehold_build_info", "The release that runs", ["version"], [([version], 1.0)]);
    let resident = resident_bytes().map(|bytes| ([], bytes));
    text.gauges("process_resident_memory_bytes", "Memory of the process that is in RAM", [], resident);
    if let Some(view) = app.live.view() {
        of_view(&view, app.now(), text);
        let leases = heavy::run(move || view.lease_counts().clone()).await?;
        text.gauges(
            "leasehold_grants",
            "Direct grants that are valid now, by what they are held for",
            ["lease"],
            LeaseClass::ALL
                .iter()
                .filter(|_| leases.total() > 0)
                .map(|class| ([class.as_str()], leases.of(*class) as f64)),
        );
    }
    let actions = app.store.action_counts(&ActionFilter::default()).await?;
    text.gauges(
        "leasehold_actions",
        "Actions of all plans, by state",
        ["state"],
        actions.iter().map(|(state, number)| ([state.as_str()], *number as f64)),
    );
    let tasks = app.store.task_counts().await?;
    text.gauges(
        "leasehold_tasks",
        "Tasks that are kept, by state",
        ["state"],
        tasks.iter().map(|(state, number)| ([state.as_str()], *number as f64)),
    );
    let deliveries = app.store.delivery_counts().await?;
    text.gauges(
        "leasehold_webhook_deliveries",
        "Messages to webhooks that are kept, by state",
        ["state"],
        deliveries.iter().map(|(state, number)| ([state.as_str()], *number as f64)),
    );
    let mut webhooks: BTreeMap<&str, f64> = BTreeMap::new();
    for webhook in app.store.webhooks().await? {
        *webhooks.entry(webhook.state.as_str()).or_default() += 1.0;
    }
    text.gauges(
        "leasehold_webhooks",
        "Webhooks, by state",
        ["state"],
        webhooks.into_iter().map(|(state, number)| ([state], number)),
    );
    of_revocations(&app.store.revocation_times().await?, text);
    if let Some(view) = app.live.view() {
        of_leavers(&Leavers::of(app, &view).await?, text);
    }
    Ok(())
}

fn of_view(view: &View, now: Timestamp, text: &mut Text) {
    let age = seconds(now, view.loaded_at());
    text.gauges("leasehold_view_age_seconds", "Since the present state was last compared", [], [([], age)]);
    let mut drift: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for item in view.drift() {
        *drift.entry((item.kind.as_str(), item.system.as_str())).or_default() += 1.0;
    }
    text.gauges(
        "leasehold_drift_items",
        "Drift that is open",
        ["kind", "system"],
        drift.into_iter().map(|((kind, system), number)| ([kind, system], number)),
    );
    let latest = || {
        let read = view.systems().iter();
        read.filter_map(|system| system.latest.as_ref().map(|epoch| (system.name.as_str(), epoch)))
    };
    text.gauges(
        "leasehold_source_age_seconds",
        "Since the latest reading of a system ended",
        ["system"],
        latest().map(|(name, epoch)| ([name], seconds(now, epoch.ended_at))),
    );
    text.gauges(
        "leasehold_source_complete",
        "Whether the latest reading of a system was complete",
        ["system"],
        latest().map(|(name, epoch)| ([name], f64::from(u8::from(epoch.completeness.is_complete())))),
    );
}

fn of_revocations(times: &RevocationTimes, text: &mut Text) {
    const NAME: &str = "leasehold_revocation_verified_seconds";
    text.family(NAME, "histogram", "From approval until a read-back showed that access was gone");
    let bucket = format!("{NAME}_bucket");
    for (bound, number) in &times.within_seconds {
        text.sample(&bucket, &[("le", &bound.to_string())], *number as f64);
    }
    text.sample(&bucket, &[("le", "+Inf")], times.number as f64);
    text.sample(&format!("{NAME}_sum"), &[], times.sum_us as f64 / 1e6);
    text.sample(&format!("{NAME}_count"), &[], times.number as f64);
}

/// By system, and together as `all`.
fn of_leavers(leavers: &Leavers, text: &mut Text) {
    let systems = leavers.by_system.iter().map(|(system, (times, _))| (system.as_str(), times));
    let rows: Vec<(&str, &Times)> = std::iter::once(("all", &leavers.all)).chain(systems).collect();
    let quantiles = rows.iter().flat_map(|(system, times)| {
        [("0.5", 0.5), ("0.95", 0.95), ("1", 1.0)]
            .into_iter()
            .filter_map(move |(name, share)| Some(([*system, name], times.within(share)? as f64 / 1e3)))
    });
    text.gauges(
        "leasehold_leaver_revocation_seconds",
        "From when somebody left until a read-back showed that what they held was gone, of the latest 5,000 revocations of those who left within 90 days",
        ["system", "quantile"],
        quantiles,
    );
    text.gauges(
        "leasehold_leaver_revocations",
        "How many of those there are",
        ["system"],
        rows.iter()
            .filter(|(_, times)| times.count() > 0)
            .map(|(system, times)| ([*system], times.count() as f64)),
    );
    let left = leavers.by_system.iter().flat_map(|(system, (_, left))| {
        left.iter().map(move |(why, many)| ([system.as_str(), why.as_str()], *many as f64))
    });
    text.gauges(
        "leasehold_leaver_remaining",
        "What is still there of those who have left, and why",
        ["system", "why"],
        left,
    );
}

/// A clock that was set back makes nothing younger than now.
fn seconds(now: Timestamp, then: Timestamp) -> f64 {
    now.duration_since(then).as_secs_f64().max(0.0)
}

/// As Linux tells it; other systems do not.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

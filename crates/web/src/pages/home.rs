//! Home: what is wrong now, since when, what waits for a person, how fast access ends, and what ends soon.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use jiff::{SignedDuration, Timestamp};
use leasehold_decide::authority::Action;
use leasehold_decide::lease::{LeaseClass, LeaseCounts};
use leasehold_model::action::ActionState;
use leasehold_model::decision::DriftKind;
use leasehold_model::id::SystemName;
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;
use leasehold_store::{ActionFilter, DriftSample, TaskFilter, TaskState, state_digest};

use super::plans::PlanLine;
use crate::error::WebError;
use crate::first_log_ins;
use crate::frame::{self, Frame};
use crate::heavy;
use crate::leavers::{Leavers, Left, Times as Measured};
use crate::parts::chart::{Point, Steps};
use crate::parts::mark::{drift_meaning, drift_words};
use crate::parts::moment::measured;
use crate::parts::{Link, Mark, Moment, Query, Sources, count, number};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::page(Method::GET, "/", Access::Needs(Action::SeeOwnAccess), || get(home))];

/// How far back the course of drift goes.
const TREND: SignedDuration = SignedDuration::from_hours(30 * 24);
/// What ends in this time is said to end soon.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Of how many ended revocations the times are told.
const TIMES_MAX: usize = 1_000;
/// How many rows a list here has; the whole list is one click away.
const ROWS_MAX: usize = 8;
/// How many instants the table beside the chart has.
const TREND_ROWS_MAX: usize = 48;

/// How much there is of one kind of drift.
struct KindFigure {
    mark: Mark,
    number: String,
    meaning: &'static str,
    oldest: Option<Moment>,
    href: String,
}

/// A figure with the list behind it.
struct Figure {
    number: String,
    label: &'static str,
    href: String,
    class: &'static str,
}

/// How long it takes until access is verified as gone.
struct Times {
    half: String,
    most: String,
    longest: String,
    of: String,
}

/// What became of leavers' access, in one system or in all.
struct LeaverRow {
    /// `None` for all together.
    system: Option<Link>,
    ended: String,
    times: Option<Times>,
    left: String,
    /// What of theirs is still there, and why; empty where nothing is.
    /// Why it is there, in words.
    why: String,
    href: String,
}

/// Something that ends soon.
struct Ending {
    what: &'static str,
    name: String,
    whom: Option<Link>,
    of: Option<Link>,
    at: Moment,
    until: Timestamp,
}

/// How much drift there was at one instant.
struct TrendRow {
    at: Moment,
    total: String,
    kinds: String,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: Frame,
    sources: Sources,
    headline: String,
    oldest: Option<(Mark, Moment)>,
    kinds: Vec<KindFigure>,
    unread: bool,
    may_plan: bool,
    waiting: Vec<Figure>,
    nothing_waits: bool,
    plans: Vec<PlanLine>,
    times: Option<Times>,
    leavers: Vec<LeaverRow>,
    chart: Option<Steps>,
    trend: Vec<TrendRow>,
    ending: Vec<Ending>,
    more_ending: usize,
    leases: Vec<LeaseRow>,
}

/// A class of reasons, and how much is held for it.
struct LeaseRow {
    /// The list behind it; empty where there is none.
    href: &'static str,
    words: &'static str,
    number: String,
    /// In hundredths of all, for people.
    share: String,
    /// In thousandths, for the bar.
    thousandths: u64,
    class: &'static str,
}

fn lease_rows(leases: &LeaseCounts) -> Vec<LeaseRow> {
    let total = leases.total().max(1);
    let row = |class: &LeaseClass| {
        let many = leases.of(*class);
        let (words, tone) = match class {
            LeaseClass::Role => ("a role that its holder's attributes give", ""),
            LeaseClass::Assignment => ("an assignment, which ends", ""),
            LeaseClass::Exception => ("an exception, which ends", "warning"),
            LeaseClass::HandOver => ("a hand-over of somebody who moved, which ends", ""),
            LeaseClass::Baseline => ("a baseline: it was there, and has until a date", "warning"),
            LeaseClass::Inherent => ("every account of its system holds it", ""),
            LeaseClass::Undecided => ("nobody can say", "warning"),
            LeaseClass::None => ("nothing", "bad"),
        };
        let href = match class {
            LeaseClass::None => "/drift",
            LeaseClass::Undecided => "/drift?kind=orphan",
            _ => "",
        };
        let thousandths = many * 1_000 / total;
        let share = match (many, thousandths) {
            (0, _) => "0 %".to_owned(),
            (_, 0) => "under 0.1 %".to_owned(),
            (_, thousandths) => format!("{}.{} %", thousandths / 10, thousandths % 10),
        };
        LeaseRow { href, words, number: number(many), share, thousandths, class: tone }
    };
    LeaseClass::ALL.iter().map(row).filter(|row| row.number != "0").collect()
}

async fn home(
    State(app): State<App>,
    person: Person,
    request: axum::extract::Request,
) -> Result<Response, WebError> {
    // Whoever may see no more than their own access has that as their home.
    if !person.may_everywhere(&app, Action::SeeOverview) {
        return Ok(Redirect::to("/me").into_response());
    }
    let (mut parts, _) = request.into_parts();
    let frame = <Frame as axum::extract::FromRequestParts<App>>::from_request_parts(&mut parts, &app).await?;
    let present =
        <Present as axum::extract::FromRequestParts<App>>::from_request_parts(&mut parts, &app).await;
    match present {
        Ok(Present(view)) => overview(&app, &view, &person, frame).await,
        Err(not_yet) => Ok(not_yet),
    }
}

async fn overview(app: &App, view: &Arc<View>, person: &Person, frame: Frame) -> Result<Response, WebError> {
    let now = app.now();
    let oldest_of = app.drift_indexes.of(view);
    let oldest_of = oldest_of.oldest(view);
    let counts = view.drift_counts();
    // The most severe kinds come first, as everywhere.
    let kinds = DriftKind::ALL.iter().filter_map(|kind| {
        let many = counts.get(kind)?;
        Some(KindFigure {
            mark: Mark::drift(*kind),
            number: number(*many as u64),
            meaning: drift_meaning(*kind),
            oldest: oldest_of.get(kind).map(|at| Moment::relative(*at, now)),
            href: Query::new("/drift").with("kind", kind.as_str()).to_string(),
        })
    });
    let oldest = oldest_of.iter().min_by_key(|(_, at)| **at);
    let (waiting, nothing_waits) = waiting(app, person, view).await?;
    let samples = app.store.drift_samples(now.saturating_sub(TREND).unwrap_or(Timestamp::MIN)).await?;
    let mut ending = ending(app, view);
    let more_ending = ending.len().saturating_sub(ROWS_MAX);
    ending.truncate(ROWS_MAX);
    let present = state_digest(&view.loaded().fingerprint());
    let plans = if person.may_everywhere(app, Action::SeePlan) {
        app.store.waiting_plans(&present, ROWS_MAX).await?
    } else {
        Vec::new()
    };
    let mut lines = Vec::new();
    for row in &plans {
        lines.push(PlanLine::of(app, row, &present).await?);
    }
    let counted = view.clone();
    let leases = heavy::run(move || lease_rows(counted.lease_counts())).await?;
    frame::show(&Home {
        leases,
        frame: frame.titled("Home"),
        sources: Sources::of(app, view, |_| true),
        headline: count(view.drift().len(), "item"),
        oldest: oldest.map(|(kind, at)| (Mark::drift(*kind), Moment::relative(*at, now))),
        kinds: kinds.collect(),
        unread: view.systems().iter().all(|system| system.latest.is_none()),
        may_plan: person.may_everywhere(app, Action::ProposePlan),
        waiting,
        nothing_waits: nothing_waits && plans.is_empty(),
        plans: lines,
        times: times(&app.store.revocation_times_ms(TIMES_MAX).await?.into_iter().collect()),
        leavers: leavers(&Leavers::of(app, view).await?),
        chart: chart(&samples, now),
        trend: samples.iter().rev().take(TREND_ROWS_MAX).map(|sample| trend_row(sample, now)).collect(),
        ending,
        more_ending,
    })
}

/// What waits for a person or is on its way, each with the list behind it.
async fn waiting(app: &App, person: &Person, view: &View) -> Result<(Vec<Figure>, bool), WebError> {
    let mut figures = Vec::new();
    if person.may_everywhere(app, Action::SeeAction) {
        let counts = app.store.action_counts(&ActionFilter::default()).await?;
        let sum = |states: &[ActionState]| states.iter().filter_map(|state| counts.get(state)).sum::<u64>();
        let on_the_way =
            [ActionState::Approved, ActionState::Sent, ActionState::Acknowledged, ActionState::Contradicted];
        for (states, label, state, bad) in [
            (&[ActionState::Stuck][..], ["action is stuck", "actions are stuck"], "stuck", true),
            (
                &[ActionState::Planned][..],
                ["action is held by a guard", "actions are held by a guard"],
                "planned",
                true,
            ),
            (
                &[ActionState::Unverifiable][..],
                ["action could not be verified", "actions could not be verified"],
                "unverifiable",
                true,
            ),
            (&on_the_way[..], ["action is on the way", "actions are on the way"], "open", false),
        ] {
            let href = Query::new("/actions").with("state", state).to_string();
            figures.push(figure(sum(states), label, href, bad));
        }
    }
    if person.may_everywhere(app, Action::SeeTask) {
        let failed = TaskFilter { state: Some(TaskState::Failed), ..TaskFilter::default() };
        // More than a page of failures reads the same as a page of them.
        let failed = app.store.tasks(&failed, 100).await?.len();
        figures.push(figure(
            failed as u64,
            ["task has failed", "tasks have failed"],
            "/tasks?state=failed".to_owned(),
            true,
        ));
    }
    let first = first_log_ins::waiting(app, person, view).await?.len() as u64;
    let label = ["new account waits for its first log-in", "new accounts wait for their first log-in"];
    figures.push(figure(first, label, "/first-log-ins".to_owned(), false));
    let nothing_waits = figures.iter().all(|figure| figure.class.is_empty());
    Ok((figures, nothing_waits))
}

fn figure(value: u64, [one, several]: [&'static str; 2], href: String, bad: bool) -> Figure {
    let label = if value == 1 { one } else { several };
    let class = match (value, bad) {
        (0, _) => "",
        (_, true) => " bad",
        (_, false) => " warning",
    };
    Figure { number: number(value), label, href, class }
}

/// Half of all, nine in ten and a half, and the longest.
fn times(times: &Measured) -> Option<Times> {
    Some(Times {
        half: measured(times.within(0.5)?),
        most: measured(times.within(0.95)?),
        longest: measured(times.within(1.0)?),
        of: count(times.count(), "action"),
    })
}

/// One row for each system that had something of a leaver, and one for all where there are several.
fn leavers(found: &Leavers) -> Vec<LeaverRow> {
    let row = |system: Option<&SystemName>, ended: &Measured, left: &Left| {
        let mut query = Query::new("/drift").with("kind", DriftKind::Leaver.as_str());
        if let Some(system) = system {
            query = query.with("system", system.as_str());
        }
        let number_left = left.values().sum::<usize>();
        let whys = left.iter().map(|(why, many)| format!("{} {}", number(*many as u64), why.words()));
        LeaverRow {
            system: system.map(Link::system),
            ended: number(ended.count() as u64),
            times: times(ended),
            left: number(number_left as u64),
            why: whys.collect::<Vec<_>>().join(", "),
            href: if number_left == 0 { String::new() } else { query.to_string() },
        }
    };
    let mut rows: Vec<LeaverRow> =
        found.by_system.iter().map(|(system, (ended, left))| row(Some(system), ended, left)).collect();
    if rows.len() > 1 {
        let mut all = Left::new();
        for (why, many) in found.by_system.values().flat_map(|(_, left)| left) {
            *all.entry(*why).or_default() += many;
        }
        rows.insert(0, row(None, &found.all, &all));
    }
    rows
}

fn chart(samples: &[DriftSample], now: Timestamp) -> Option<Steps> {
    let points: Vec<Point> =
        samples.iter().map(|sample| Point { at: sample.hour, value: sample.total }).collect();
    let (first, last) = (points.first()?, points.last()?);
    let description = format!(
        "Drift over time: {} on {}, {} now",
        count(first.value as usize, "item"),
        first.at.strftime("%Y-%m-%d"),
        number(last.value)
    );
    Steps::new(&points, now, description)
}

fn trend_row(sample: &DriftSample, now: Timestamp) -> TrendRow {
    let kinds = sample.by_kind.iter().map(|(kind, many)| format!("{} {}", number(*many), drift_words(*kind)));
    TrendRow {
        at: Moment::relative(sample.hour, now),
        total: number(sample.total),
        kinds: kinds.collect::<Vec<_>>().join(", "),
    }
}

/// Reasons that end soon: assignments, exceptions and baselines, the soonest first.
fn ending(app: &App, view: &View) -> Vec<Ending> {
    let now = app.now();
    let soon = now.saturating_add(SOON).unwrap_or(Timestamp::MAX);
    let evaluation = view.evaluation();
    let explicit = view.loaded().policy.explicit.iter().enumerate().map(|(position, explicit)| {
        let until = evaluation.explicit_end(position);
        Ending {
            what: if explicit.exception { "exception" } else { "assignment" },
            name: safe(&explicit.name),
            whom: Some(Link::identity(&explicit.identity.value)),
            of: None,
            at: Moment::relative(until, now),
            until,
        }
    });
    let baselines = view.loaded().baselines.iter().map(|baseline| {
        let until = evaluation.baseline_end(baseline);
        Ending {
            what: "baseline",
            name: format!("of {}", baseline.system),
            whom: None,
            of: Some(Link::system(&baseline.system)),
            at: Moment::relative(until, now),
            until,
        }
    });
    let in_time = |ending: &Ending| ending.until > now && ending.until <= soon;
    let mut ending: Vec<Ending> = explicit.chain(baselines).filter(in_time).collect();
    ending.sort_by(|left, right| (left.until, &left.name).cmp(&(right.until, &right.name)));
    ending
}

#[cfg(test)]
mod tests {
    use super::{Measured, times};

    #[test]
    fn times_are_ones_that_were_measured() {
        assert!(times(&Measured::default()).is_none());
        let all: Vec<i64> = (1..=20).map(|second| second * 1_000).collect();
        let found = times(&all.iter().copied().collect()).expect("some");
        assert_eq!(
            (found.half.as_str(), found.most.as_str(), found.longest.as_str()),
            ("10 s", "19 s", "20 s")
        );
        let one = times(&std::iter::once(2_500).collect()).expect("one");
        assert_eq!(
            (one.half, one.most, one.longest),
            ("2.5 s".to_owned(), "2.5 s".to_owned(), "2.5 s".to_owned())
        );
    }
}

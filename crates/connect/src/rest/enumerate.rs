//! Everybody whom the API tells of, and whether that is all.

use jiff::Timestamp;
use leasehold_model::fact::{Completeness, Problem};
use sha2::{Digest as _, Sha256};

use crate::connector::{Batch, Sink, TestReport};
use crate::effective::EffectiveRows;
use crate::error::ConnectError;
use crate::rest::client::Client;
use crate::rest::paging::Walk;
use crate::rest::person::{self, Found as FoundPerson};
use crate::seen::Seen;

/// In a short list one problem is a large share and says little.
const PROBLEMS_ALWAYS_BORNE: u64 = 2;

/// What one reading found.
struct Found {
    pages: u64,
    people: u64,
    has_total: bool,
    /// Whom it told of, in order.
    digest: [u8; 32],
    doubts: Vec<String>,
}

/// Asks for the first page.
pub(super) async fn test(client: &Client) -> Result<TestReport, ConnectError> {
    let mut walk = Walk::begin(client);
    let page = walk.next().await?.unwrap_or_default();
    let Some(first) = page.first() else {
        return Err(client.error("the first page has nobody on it; check `url` and `items`"));
    };
    let settings = &client.settings;
    person::identity(settings, first)
        .map_err(|why| client.error(&format!("the first object {why}; check `columns`")))?;
    let known = person::known(settings, first).join(", ");
    let target =
        format!("{}: {} people on the first page, with {known}", settings.http.address(), page.len());
    Ok(TestReport { target, acting_as: None, missing_rights: Vec::new() })
}

/// Streams every fact.
pub(super) async fn enumerate(client: &Client, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
    let mut batch = Batch::new(sink);
    let found = read(client, Some(&mut batch)).await?;
    batch.flush().await?;
    let mut doubts = found.doubts;
    if found.people == 0 {
        doubts.push(
            "the API told of nobody; an empty answer is not taken for an empty organisation".to_owned(),
        );
    }
    let proof = if found.has_total {
        "the API counts as many, on every page"
    } else if found.pages == 1 && !client.settings.is_paging_said {
        doubts.push(
            "one page came and nothing says that it is everything; write `paging = \"none\"` where the API has no pages, how it \
             pages where it does, or name in `total` where it counts people"
                .to_owned(),
        );
        ""
    } else if found.pages == 1 {
        "on the only page"
    } else if doubts.is_empty() {
        let again = read(client, None).await?;
        if again.digest != found.digest {
            doubts.push("a second reading told of other people: the list moved while it was read".to_owned());
        }
        "a second reading told of the same"
    } else {
        ""
    };
    if !doubts.is_empty() {
        return Ok(Completeness::Partial { why: doubts.join("; ") });
    }
    Ok(Completeness::Complete {
        evidence: format!("{} people on {} pages; {proof}", found.people, found.pages),
    })
}

/// Reads the list once; tells what is in it where there is somebody to tell.
async fn read(client: &Client, mut batch: Option<&mut Batch<'_>>) -> Result<Found, ConnectError> {
    let settings = &client.settings;
    let mut walk = Walk::begin(client);
    let mut seen = Seen::default();
    let mut digest = Sha256::new();
    let mut effective = EffectiveRows::at(Timestamp::now());
    let (mut at, mut problems, mut unusable) = (0_u64, 0_u64, Vec::new());
    while let Some(page) = walk.next().await? {
        let (before, mut is_news) = (seen.count(), false);
        for object in &page {
            at += 1;
            let place = format!("item {at}");
            let FoundPerson { person, from, mended } = match person::identity(settings, object) {
                Ok(found) => found,
                Err(why) => {
                    unusable.push(at);
                    if let Some(batch) = &mut batch {
                        batch.problem(Problem::new(place, why));
                    }
                    continue;
                }
            };
            let key = person.identity.key.clone();
            digest.update(key.as_str().as_bytes());
            digest.update([0]);
            digest.update(from.map(|from| from.to_string()).unwrap_or_default());
            let is_new = seen.insert(&key.as_str().to_lowercase())?;
            if !is_new && !settings.has_effective_dates() {
                walk.doubt(format!(
                    "{place} tells of somebody again: the list moved while it was read, or holds them twice"
                ));
                continue;
            }
            problems += u64::from(!mended.is_empty());
            if let Some(batch) = &mut batch {
                for why in mended {
                    batch.problem(Problem::new(format!("{place} ({key})"), why));
                }
            }
            if settings.has_effective_dates() {
                match effective.offer(from, place.clone(), person) {
                    Ok(()) => is_news = true,
                    Err(first) => walk.doubt(format!(
                        "{place} tells of {key} from the same day on as {first}: the list moved while it was read, or holds them twice"
                    )),
                }
            } else if let Some(batch) = &mut batch {
                batch.push(person.fact()).await?;
            }
        }
        if !page.is_empty() && seen.count() == before && !is_news && unusable.len() < page.len() {
            // Some give the last page again for every number beyond it.
            walk.doubt("a page told of nobody new; name in `total` where the API counts people".to_owned());
            walk.stop();
        }
        if let Some(batch) = &mut batch {
            batch.progress(walk.read, walk.total);
        }
    }
    if let Some(batch) = &mut batch {
        for person in effective.in_force() {
            batch.push(person.fact()).await?;
        }
    }
    let mut doubts = std::mem::take(&mut walk.doubts);
    if !unusable.is_empty() {
        let places: Vec<String> = unusable.iter().take(5).map(u64::to_string).collect();
        doubts.push(format!(
            "{} objects could not be used at all, so whom they tell of may seem absent (items {})",
            unusable.len(),
            places.join(", ")
        ));
    }
    let people = seen.count() as u64;
    if problems > PROBLEMS_ALWAYS_BORNE && problems as f64 > settings.problem_share_max * people as f64 {
        doubts.push(format!(
            "{problems} of {people} people have problems, more than `problem_share_max` allows"
        ));
    }
    Ok(Found {
        pages: walk.pages,
        people,
        has_total: walk.total.is_some(),
        digest: digest.finalize().into(),
        doubts,
    })
}

//! Finding resources: by an index where the filter allows it, else by looking at each; by index or by cursor.

use leasehold_store::{ScimReading, ScimResource, ScimSought};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::error::WebError;
use crate::heavy;
use crate::scim::caller::Caller;
use crate::scim::cursor::{Cursor, From, LASTS};
use crate::scim::document::{self, MEMBERS_MAX};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{Candidates, Test, sort_key, sought};
use crate::scim::query::{COUNT_DEFAULT, COUNT_MAX, Query};
use crate::scim::schema::{MEMBERS, ResourceType};
use crate::scim::value::Object;
use crate::state::App;

/// So many resources are looked at in one step.
const STEP: u64 = 500;
/// More are not sorted for one answer, nor by more bytes.
const SORTED_MAX: usize = 200_000;
const SORTED_BYTES_MAX: usize = 64 << 20;

/// What was found: how many fit, and those of the page.
struct Found {
    total: u64,
    resources: Vec<(&'static ResourceType, ScimResource)>,
}

/// Answers a question about resources of some types, as the text that is sent.
///
/// # Errors
/// What is wrong with the question.
pub(crate) async fn answer(
    app: &App,
    caller: &Caller,
    types: &[&'static ResourceType],
    query: &Query,
) -> Result<String, ScimError> {
    // A reading holds a connection of the store: what takes long waits for its turn before it begins.
    let _turn = match types.iter().any(|known| query.looks_at_all(known)) {
        true => Some(heavy::turn().await?),
        false => None,
    };
    let mut reading = reading(app, caller).await?;
    let base = app.scim_base();
    match &query.cursor {
        None => {
            let found = find(&mut reading, base, types, query, query.skipped, query.page_size()).await?;
            let extra = format!("\"startIndex\":{},", query.skipped + 1);
            sent(base, query, found, &extra)
        }
        Some(cursor) => by_cursor(app, caller, &mut reading, types, query, cursor).await,
    }
}

async fn reading(app: &App, caller: &Caller) -> Result<ScimReading, ScimError> {
    let system = caller.system.as_str();
    if let Some(reading) = app.store.read_scim(&caller.authority(), system, app.now()).await? {
        return Ok(reading);
    }
    let renewed = caller.renewed(app).await?;
    let reading = app.store.read_scim(&renewed.authority(), system, app.now()).await?;
    Ok(reading.ok_or(WebError::BadToken)?)
}

async fn by_cursor(
    app: &App,
    caller: &Caller,
    reading: &mut ScimReading,
    types: &[&'static ResourceType],
    query: &Query,
    sealed: &str,
) -> Result<String, ScimError> {
    let (base, now) = (app.scim_base(), app.now());
    let names: Vec<&str> = types.iter().map(|known| known.name).collect();
    let question = format!("{}\0{}\0{}", caller.system, names.join(","), query.named);
    // A cursor is part of an address, and a question can be long.
    let question = hex::encode(Sha256::digest(question));
    let before = if sealed.is_empty() { None } else { Some(Cursor::open(app, sealed, &question, now)?) };
    let wrong_count = |why: String| ScimError::new(ScimType::InvalidCount, why);
    let count = match (query.count, &before) {
        (None, Some(before)) => before.count,
        (None, None) => COUNT_DEFAULT,
        (Some(count), _) => u64::try_from(count)
            .ok()
            .filter(|count| *count <= COUNT_MAX)
            .ok_or_else(|| wrong_count(format!("`count` is 0 to {COUNT_MAX}")))?,
    };
    if before.as_ref().is_some_and(|before| before.count != count) {
        return Err(wrong_count("`count` stays the same from the first page to the last".to_owned()));
    }
    // One type in the order of ids goes on after an id, however much comes and goes; anything else after a number.
    let by_id = match types {
        [known] if query.sort.is_none() => Some(*known),
        _ => None,
    };
    let (mut found, next) = match (by_id, before.as_ref().map(|before| &before.from)) {
        (Some(known), Some(From::After(id))) => {
            let resources = after(reading, base, known, query, id, count + 1).await?;
            let total = before.as_ref().map_or(0, |before| before.total);
            let mut found = Found { total, resources };
            let next = cut(&mut found, count, |found| {
                found.resources.last().map(|(_, last)| From::After(last.id.clone()))
            });
            (found, next)
        }
        (_, from) => {
            let skipped = if let Some(From::Skipping(skipped)) = from { *skipped } else { 0 };
            let mut found = find(reading, base, types, query, skipped, count + 1).await?;
            if let Some(before) = &before {
                found.total = before.total;
            }
            let next = cut(&mut found, count, |found| match by_id {
                Some(_) => found.resources.last().map(|(_, last)| From::After(last.id.clone())),
                None => Some(From::Skipping(skipped + count)),
            });
            (found, next)
        }
    };
    if count == 0 {
        found.resources.clear();
    }
    let next = next.map(|from| {
        let until = (now + LASTS).as_second();
        Cursor { from, total: found.total, count, question, until }.seal(app)
    });
    let extra = match next.transpose()? {
        Some(next) => format!("\"nextCursor\":{},", Value::from(next)),
        None => String::new(),
    };
    sent(base, query, found, &extra)
}

/// Takes away what was asked for to see whether there is more, and says where the next page begins.
fn cut(found: &mut Found, count: u64, from: impl Fn(&Found) -> Option<From>) -> Option<From> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if found.resources.len() <= count || count == 0 {
        return None;
    }
    found.resources.truncate(count);
    from(found)
}

/// What fits, of several types one after the other.
async fn find(
    reading: &mut ScimReading,
    base: &str,
    types: &[&'static ResourceType],
    query: &Query,
    skipped: u64,
    count: u64,
) -> Result<Found, ScimError> {
    let mut all = Found { total: 0, resources: Vec::new() };
    let mut last_error = None;
    let mut is_answered = false;
    for known in types {
        let test = match query.filter.as_ref().map(|filter| Test::of(filter, known)).transpose() {
            Ok(test) => test,
            // Another type may have what is asked about.
            Err(error) => {
                last_error = Some(error);
                continue;
            }
        };
        is_answered = true;
        let skipped = skipped.saturating_sub(all.total);
        let wanted = count.saturating_sub(all.resources.len() as u64);
        let (total, mut resources) = of_type(reading, base, known, query, test, skipped, wanted).await?;
        members(reading, query, known, &mut resources).await?;
        all.total += total;
        all.resources.extend(resources.into_iter().map(|resource| (*known, resource)));
    }
    match last_error {
        Some(error) if !is_answered => Err(error),
        _ => Ok(all),
    }
}

/// Puts members into groups, where they are asked for.
async fn members(
    reading: &mut ScimReading,
    query: &Query,
    known: &'static ResourceType,
    found: &mut [ScimResource],
) -> Result<(), ScimError> {
    if known.has_members && query.projection.has(known, MEMBERS) {
        if reading.count_members(found).await? > MEMBERS_MAX as u64 {
            let why = format!(
                "more than {MEMBERS_MAX} members would be shown; ask for fewer resources at once, or write \
                 excludedAttributes=members"
            );
            return Err(ScimError::new(ScimType::TooMany, why));
        }
        reading.fill_members(found).await?;
    }
    Ok(())
}

async fn of_type(
    reading: &mut ScimReading,
    base: &str,
    known: &'static ResourceType,
    query: &Query,
    test: Option<Test>,
    skipped: u64,
    count: u64,
) -> Result<(u64, Vec<ScimResource>), ScimError> {
    if test.is_none() && query.sort.is_none() {
        let total = reading.count(known.name).await?;
        let page = if count == 0 { Vec::new() } else { reading.page(known.name, skipped, count).await? };
        return Ok((total, page));
    }
    let key = query.sort.as_ref().map(|sort| sort_key(&sort.by, known)).transpose()?;
    let is_descending = query.sort.as_ref().is_some_and(|sort| sort.is_descending);
    let with_members = known.has_members && query.asks_about_members();
    let mut window = Window { skipped, count, ..Window::default() };
    let mut look = async |reading: &mut ScimReading, resources: Vec<ScimResource>| {
        for mut resource in resources {
            let object = looked_into(reading, base, known, &mut resource, with_members).await?;
            if test.as_ref().is_some_and(|test| !test.fits(&object)) {
                continue;
            }
            match &key {
                None => window.take(resource),
                Some(key) => window.key(key(&object), resource.id)?,
            }
        }
        Ok::<_, ScimError>(())
    };
    let candidates = query.filter.as_ref().and_then(|filter| sought(filter, known));
    if let Some(candidates) = candidates {
        let found = match &candidates {
            Candidates::Sought(wanted) => reading.sought(known.name, wanted).await?,
            Candidates::WithMember(member) => reading.with_member(known.name, member).await?,
        };
        look(reading, found).await?;
        return window.close(reading, known, is_descending).await;
    }
    let mut last = String::new();
    loop {
        let step = reading.after(known.name, &last, STEP).await?;
        let Some(end) = step.last().map(|resource| resource.id.clone()) else { break };
        last = end;
        look(reading, step).await?;
    }
    window.close(reading, known, is_descending).await
}

/// What a resource holds, to be asked about: with its members where somebody asks about them, and those of one resource
/// at a time, since there can be many.
async fn looked_into(
    reading: &mut ScimReading,
    base: &str,
    known: &ResourceType,
    resource: &mut ScimResource,
    with_members: bool,
) -> Result<Object, ScimError> {
    if with_members {
        reading.fill_members(std::slice::from_mut(resource)).await?;
    }
    let object = document::object(base, known, resource);
    resource.members = Vec::new();
    object
}

/// The part of what fits that is asked for.
#[derive(Default)]
struct Window {
    total: u64,
    skipped: u64,
    count: u64,
    kept: Vec<ScimResource>,
    /// What is sorted, when all of it is there.
    keyed: Vec<(Option<String>, String)>,
    keyed_bytes: usize,
}

impl Window {
    fn take(&mut self, resource: ScimResource) {
        self.total += 1;
        if self.total > self.skipped && (self.kept.len() as u64) < self.count {
            self.kept.push(resource);
        }
    }

    fn key(&mut self, key: Option<String>, id: String) -> Result<(), ScimError> {
        self.total += 1;
        self.keyed_bytes += key.as_ref().map_or(0, String::len);
        if self.keyed.len() >= SORTED_MAX || self.keyed_bytes > SORTED_BYTES_MAX {
            let why =
                format!("more than {SORTED_MAX} resources would have to be sorted; filter more narrowly");
            return Err(ScimError::new(ScimType::TooMany, why));
        }
        self.keyed.push((key, id));
        Ok(())
    }

    async fn close(
        mut self,
        reading: &mut ScimReading,
        known: &'static ResourceType,
        is_descending: bool,
    ) -> Result<(u64, Vec<ScimResource>), ScimError> {
        if self.keyed.is_empty() {
            return Ok((self.total, self.kept));
        }
        // What has no value comes last, and first where the order is turned round; ids decide between equals.
        self.keyed.sort_by(|(one, one_id), (other, other_id)| {
            let order = (one.is_none(), one).cmp(&(other.is_none(), other));
            let order = if is_descending { order.reverse() } else { order };
            order.then_with(|| one_id.cmp(other_id))
        });
        let skipped = usize::try_from(self.skipped).unwrap_or(usize::MAX);
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        let mut page = Vec::new();
        for (_, id) in self.keyed.iter().skip(skipped).take(count) {
            page.extend(reading.sought(known.name, &ScimSought::Id(id.clone())).await?);
        }
        Ok((self.total, page))
    }
}

/// What fits after an id, at most `count`.
async fn after(
    reading: &mut ScimReading,
    base: &str,
    known: &'static ResourceType,
    query: &Query,
    id: &str,
    count: u64,
) -> Result<Vec<(&'static ResourceType, ScimResource)>, ScimError> {
    let test = query.filter.as_ref().map(|filter| Test::of(filter, known)).transpose()?;
    let with_members = known.has_members && query.asks_about_members();
    let mut found = Vec::new();
    let mut last = id.to_owned();
    while (found.len() as u64) < count {
        let step = reading.after(known.name, &last, if test.is_some() { STEP } else { count }).await?;
        let Some(end) = step.last().map(|resource| resource.id.clone()) else { break };
        last = end;
        for mut resource in step {
            let fits = match &test {
                None => true,
                Some(test) => {
                    test.fits(&looked_into(reading, base, known, &mut resource, with_members).await?)
                }
            };
            if fits && (found.len() as u64) < count {
                found.push(resource);
            }
        }
    }
    members(reading, query, known, &mut found).await?;
    Ok(found.into_iter().map(|resource| (known, resource)).collect())
}

fn sent(base: &str, query: &Query, found: Found, extra: &str) -> Result<String, ScimError> {
    let Found { total, resources } = found;
    let mut text = format!(
        "{{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:ListResponse\"],\"totalResults\":{total},{extra}\"itemsPerPage\":{},\"Resources\":[",
        resources.len()
    );
    for (position, (known, mut resource)) in resources.into_iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        if known.has_members && !query.projection.has(known, MEMBERS) {
            resource.members.clear();
        }
        text.push_str(&shown(base, known, &resource, query)?);
    }
    text.push_str("]}");
    Ok(text)
}

/// A resource with what is asked for of it.
fn shown(
    base: &str,
    known: &'static ResourceType,
    resource: &ScimResource,
    query: &Query,
) -> Result<String, ScimError> {
    if query.projection.is_whole() {
        return Ok(document::text(base, known, resource));
    }
    let object = document::object(base, known, resource)?;
    Ok(json!(query.projection.of_object(known, object)).to_string())
}

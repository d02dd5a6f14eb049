//! Finding resources: by an index where the filter allows it, else by looking at each; by index or by cursor.

use leasehold_store::{ScimReading, ScimResource, ScimSought};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::error::WebError;
use crate::heavy;
use crate::scim::caller::Caller;
use crate::scim::cursor::{Cursor, From, Key, LASTS};
use crate::scim::document::{self, MEMBERS_MAX};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{Candidates, Test, sort_key, sought};
use crate::scim::query::{COUNT_DEFAULT, COUNT_MAX, Query};
use crate::scim::schema::{GROUPS, MEMBERS, META, ResourceType};
use crate::scim::value::Object;
use crate::state::App;

/// So many resources are looked at in one step.
const STEP: u64 = 500;
/// More are not sorted for one answer, nor by more bytes.
const SORTED_MAX: usize = 200_000;
const SORTED_BYTES_MAX: usize = 64 << 20;

/// A cursor is part of an address: a place in an order that takes more bytes is a number of resources.
const KEY_BYTES_MAX: usize = 200;

/// What was found: how many fit, and those of the page.
struct Found {
    total: u64,
    resources: Vec<(&'static ResourceType, ScimResource)>,
    /// Where the last of them stands in the order that was asked for, as far as there is one order.
    last: Option<Key>,
}

/// Which part of what fits is asked for.
#[derive(Default)]
struct Part {
    skipped: u64,
    /// Only what stands behind this.
    behind: Option<Key>,
    count: u64,
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
            let part = Part { skipped: query.skipped, count: query.page_size(), ..Part::default() };
            let found = find(&mut reading, base, types, query, part).await?;
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
    // One type goes on after a resource, however much comes and goes; several after a number.
    let by_id = match types {
        [known] if query.sort.is_none() => Some(*known),
        _ => None,
    };
    let (mut found, next) = match (by_id, before.as_ref().map(|before| &before.from)) {
        (Some(known), Some(From::After(id))) => {
            let resources = after(reading, base, known, query, id, count + 1).await?;
            let total = before.as_ref().map_or(0, |before| before.total);
            let mut found = Found { total, resources, last: None };
            let next = cut(&mut found, count, |found| {
                found.resources.last().map(|(_, last)| From::After(last.id.clone()))
            });
            (found, next)
        }
        (_, from) => {
            let (skipped, behind, shown) = match from {
                Some(From::Skipping(skipped)) => (*skipped, None, *skipped),
                Some(From::AfterKey(key, shown)) => (0, Some(key.clone()), *shown),
                _ => (0, None, 0),
            };
            let shown = shown + count;
            let mut found =
                find(reading, base, types, query, Part { skipped, behind, count: count + 1 }).await?;
            if let Some(before) = &before {
                found.total = before.total;
            }
            let next = cut(&mut found, count, |found| match by_id {
                Some(_) => found.resources.last().map(|(_, last)| From::After(last.id.clone())),
                None => Some(match &found.last {
                    None => From::Skipping(shown),
                    Some(key) => From::AfterKey(key.clone(), shown),
                }),
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
    part: Part,
) -> Result<Found, ScimError> {
    let mut all = Found { total: 0, resources: Vec::new(), last: None };
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
        let part = Part {
            skipped: part.skipped.saturating_sub(all.total),
            count: part.count.saturating_sub(all.resources.len() as u64),
            behind: part.behind.clone(),
        };
        let OfType { total, mut resources, last } = of_type(reading, base, known, query, test, part).await?;
        complete(reading, query, known, &mut resources).await?;
        all.total += total;
        all.resources.extend(resources.into_iter().map(|resource| (*known, resource)));
        all.last = last
            .filter(|(key, _)| types.len() == 1 && key.as_ref().is_none_or(|key| key.len() <= KEY_BYTES_MAX));
    }
    match last_error {
        Some(error) if !is_answered => Err(error),
        _ => Ok(all),
    }
}

/// Puts members into groups, where they are asked for, and tells of which groups a user is a member.
async fn complete(
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
    // They are part of the version, too.
    let is_told = query.projection.has(known, GROUPS) || query.projection.has(known, META);
    let is_filled = found.iter().any(|resource| !resource.groups.is_empty());
    let member_of = known.member_of.filter(|_| is_told && !is_filled);
    if member_of.is_some() && reading.count_groups(found).await? > MEMBERS_MAX as u64 {
        let why = format!(
            "more than {MEMBERS_MAX} groups would be told of users; ask for fewer resources at once, or name in \
             `attributes` what you need beside `groups` and `meta`"
        );
        return Err(ScimError::new(ScimType::TooMany, why));
    }
    reading.fill_groups(member_of, found).await?;
    Ok(())
}

async fn of_type(
    reading: &mut ScimReading,
    base: &str,
    known: &'static ResourceType,
    query: &Query,
    test: Option<Test>,
    part: Part,
) -> Result<OfType, ScimError> {
    if test.is_none() && query.sort.is_none() {
        let total = reading.count(known.name).await?;
        let Part { skipped, count, .. } = part;
        let resources =
            if count == 0 { Vec::new() } else { reading.page(known.name, skipped, count).await? };
        return Ok(OfType { total, resources, last: None });
    }
    let key = query.sort.as_ref().map(|sort| sort_key(&sort.by, known)).transpose()?;
    let is_descending = query.sort.as_ref().is_some_and(|sort| sort.is_descending);
    let with_members = known.has_members && query.asks_about_members();
    let mut window = Window { part, ..Window::default() };
    let groups = known.member_of.filter(|_| query.asks_about_groups());
    let mut look = async |reading: &mut ScimReading, mut resources: Vec<ScimResource>| {
        reading.fill_groups(groups, &mut resources).await?;
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
    let few = match &candidates {
        Some(Candidates::Sought(wanted)) => Some(reading.sought(known.name, wanted).await?),
        Some(Candidates::WithMember(member)) => Some(reading.with_member(known.name, member).await?),
        Some(Candidates::InGroup(_)) | None => None,
    };
    if let Some(few) = few {
        look(reading, few).await?;
        return window.close(reading, known, is_descending).await;
    }
    let mut last = String::new();
    loop {
        let step = step(reading, known, candidates.as_ref(), &last, STEP).await?;
        let Some(end) = step.last().map(|resource| resource.id.clone()) else { break };
        last = end;
        look(reading, step).await?;
    }
    window.close(reading, known, is_descending).await
}

/// The next of those that can fit, in the order of ids.
async fn step(
    reading: &mut ScimReading,
    known: &ResourceType,
    candidates: Option<&Candidates>,
    after: &str,
    count: u64,
) -> Result<Vec<ScimResource>, ScimError> {
    Ok(match candidates {
        Some(Candidates::InGroup(group)) => reading.in_group(known.name, group, after, count).await?,
        _ => reading.after(known.name, after, count).await?,
    })
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

/// What was found of one type.
struct OfType {
    total: u64,
    resources: Vec<ScimResource>,
    /// Where the last but one of them stands in the order that was asked for: one more than the page is asked for.
    last: Option<Key>,
}

/// The part of what fits that is asked for.
#[derive(Default)]
struct Window {
    part: Part,
    total: u64,
    kept: Vec<ScimResource>,
    /// What is sorted, when all of it is there.
    keyed: Vec<Key>,
    keyed_bytes: usize,
}

impl Window {
    fn take(&mut self, resource: ScimResource) {
        self.total += 1;
        if self.total > self.part.skipped && (self.kept.len() as u64) < self.part.count {
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
    ) -> Result<OfType, ScimError> {
        if self.keyed.is_empty() {
            return Ok(OfType { total: self.total, resources: self.kept, last: None });
        }
        // What has no value comes last, and first where the order is turned round; ids decide between equals.
        let order = |(one, one_id): &Key, (other, other_id): &Key| {
            let order = (one.is_none(), one).cmp(&(other.is_none(), other));
            let order = if is_descending { order.reverse() } else { order };
            order.then_with(|| one_id.cmp(other_id))
        };
        if let Some(behind) = &self.part.behind {
            self.keyed.retain(|key| order(key, behind).is_gt());
        }
        self.keyed.sort_by(order);
        let skipped = usize::try_from(self.part.skipped).unwrap_or(usize::MAX);
        let count = usize::try_from(self.part.count).unwrap_or(usize::MAX);
        let page: Vec<&Key> = self.keyed.iter().skip(skipped).take(count).collect();
        let mut resources = Vec::with_capacity(page.len());
        for (_, id) in &page {
            resources.extend(reading.sought(known.name, &ScimSought::Id(id.clone())).await?);
        }
        let last = page.len().checked_sub(2).map(|position| page[position].clone());
        Ok(OfType { total: self.total, resources, last })
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
    let groups = known.member_of.filter(|_| query.asks_about_groups());
    let candidates = query.filter.as_ref().and_then(|filter| sought(filter, known));
    let mut found = Vec::new();
    let mut last = id.to_owned();
    while (found.len() as u64) < count {
        let wanted = if test.is_some() { STEP } else { count };
        let mut step = step(reading, known, candidates.as_ref(), &last, wanted).await?;
        reading.fill_groups(groups, &mut step).await?;
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
    complete(reading, query, known, &mut found).await?;
    Ok(found.into_iter().map(|resource| (known, resource)).collect())
}

fn sent(base: &str, query: &Query, found: Found, extra: &str) -> Result<String, ScimError> {
    let Found { total, resources, .. } = found;
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

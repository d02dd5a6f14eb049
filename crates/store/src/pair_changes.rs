//! Grants and containments at the end of an enumeration: read range by range, compared, and written back.

use std::collections::HashSet;

use leasehold_model::fact::Problem;

use crate::db::{Tx, execute_list, execute_rows, fetch_all};
use crate::dictionary;
use crate::diff::{Changes, Held, Rules, diff};
use crate::epoch::EpochWriter;
use crate::error::{Result, StoreError};
use crate::finish::{ChangeCounts, number};
use crate::pair::Pair;
use crate::stage::{PairStage, Relation};

/// Holders in the first range.
const RANGE_FIRST: u32 = 4_096;
/// Ranges grow and shrink to hold about this many pairs.
const RANGE_PAIRS: usize = 200_000;

/// What decides about pairs besides what was told.
pub(crate) struct Presence {
    /// For each number, whether the object is there afterwards.
    pub present: Vec<bool>,
    /// Grants that were read back while the enumeration ran.
    pub read_back: HashSet<Pair>,
    /// Accounts that some grants may mean which were told under another spelling.
    pub in_doubt: HashSet<u32>,
    /// Whether absence counts.
    pub complete: bool,
}

struct RelationRules<'a> {
    presence: &'a Presence,
    relation: Relation,
}

impl Rules for RelationRules<'_> {
    fn both_present(&self, pair: Pair) -> bool {
        let present = |number: u32| self.presence.present.get(number as usize).copied().unwrap_or(false);
        present(pair.holder) && present(pair.held)
    }

    fn is_read_back(&self, pair: Pair) -> bool {
        self.relation == Relation::Grant && self.presence.read_back.contains(&pair)
    }

    fn absence_counts(&self, pair: Pair) -> bool {
        let in_doubt = self.relation == Relation::Grant && self.presence.in_doubt.contains(&pair.holder);
        self.presence.complete && !(in_doubt && self.both_present(pair))
    }
}

/// Applies both relations.
pub(crate) async fn apply(
    writer: &mut EpochWriter,
    tx: &mut Tx,
    epoch: i64,
    presence: &Presence,
    counts: &mut ChangeCounts,
) -> Result<()> {
    for relation in [Relation::Grant, Relation::Containment] {
        let stage = match relation {
            Relation::Grant => &mut writer.grants,
            Relation::Containment => &mut writer.containments,
        };
        let stage = std::mem::replace(stage, PairStage::new(relation));
        apply_relation(writer, tx, epoch, &RelationRules { presence, relation }, stage, counts).await?;
    }
    Ok(())
}

async fn apply_relation(
    writer: &mut EpochWriter,
    tx: &mut Tx,
    epoch: i64,
    rules: &RelationRules<'_>,
    stage: PairStage,
    counts: &mut ChangeCounts,
) -> Result<()> {
    let relation = rules.relation;
    let mut merge = stage.merge(writer.system);
    let end = writer.dictionary.slots().len() as u32;
    let (mut from, mut width) = (0u32, RANGE_FIRST);
    while from < end {
        let to = from.saturating_add(width).min(end);
        let told = merge.below(tx, to).await?;
        let held = read_held(tx, writer.system, relation, from, to).await?;
        let size = told.len().max(held.pairs.len());
        let changes = diff(told, held, rules);
        write_changes(tx, writer.system, epoch, relation, &changes).await?;
        count(relation, &changes, counts);
        list_problems(writer, tx, relation, &changes).await?;
        from = to;
        width = if size > RANGE_PAIRS {
            (width / 2).max(1)
        } else if size < RANGE_PAIRS / 4 {
            width.saturating_mul(2)
        } else {
            width
        };
    }
    Ok(())
}

fn count(relation: Relation, changes: &Changes, counts: &mut ChangeCounts) {
    let (begun, ended) = (changes.begun.len() as u64, changes.ended.len() as u64);
    match relation {
        Relation::Grant => {
            counts.grants_added += begun;
            counts.grants_ended += ended;
            if !changes.qualifiers_begun.is_empty() || !changes.qualifiers_ended.is_empty() {
                counts.grants_changed += changed(changes);
            }
        }
        Relation::Containment => {
            counts.containments_added += begun;
            counts.containments_ended += ended;
        }
    }
}

/// Grants that go on with another qualifier, without the qualifiers that come or go with their grant.
fn changed(changes: &Changes) -> u64 {
    let begun: HashSet<i64> = changes.begun.iter().copied().collect();
    let ended: HashSet<i64> = changes.ended.iter().copied().collect();
    let set =
        changes.qualifiers_begun.iter().map(|(pair, _)| pair.packed()).filter(|pair| !begun.contains(pair));
    let unset = changes.qualifiers_ended.iter().copied().filter(|pair| !ended.contains(pair));
    set.chain(unset).collect::<HashSet<_>>().len() as u64
}

/// What is held by the holders from `from` to below `to`.
async fn read_held(tx: &mut Tx, system: i64, relation: Relation, from: u32, to: u32) -> Result<Held> {
    // One row a holder: ten million rows through a driver cost more than ten million pairs in text.
    let rows = match relation {
        Relation::Grant => fetch_all!(
            tx,
            (i64, String),
            "SELECT account, string_agg(CAST(entitlement AS TEXT), ',') FROM grant_interval
             WHERE system = $1 AND until IS NULL AND account >= $2 AND account < $3 GROUP BY account ORDER BY account",
            system,
            i64::from(from),
            i64::from(to)
        )?,
        Relation::Containment => fetch_all!(
            tx,
            (i64, String),
            "SELECT parent, string_agg(CAST(child AS TEXT), ',') FROM containment_interval
             WHERE system = $1 AND until IS NULL AND parent >= $2 AND parent < $3 GROUP BY parent ORDER BY parent",
            system,
            i64::from(from),
            i64::from(to)
        )?,
    };
    let mut held = Held::default();
    for (holder, list) in rows {
        let holder = number(holder)?;
        let first = held.pairs.len();
        for text in list.split(',') {
            let number = text.parse().map_err(|error| StoreError::corrupt("a list of numbers", error))?;
            held.pairs.push(Pair { holder, held: number });
        }
        held.pairs[first..].sort_unstable();
    }
    if relation == Relation::Grant {
        let rows = fetch_all!(
            tx,
            (i64, i64, String),
            "SELECT account, entitlement, body FROM grant_qualifier
             WHERE system = $1 AND until IS NULL AND account >= $2 AND account < $3 ORDER BY account, entitlement",
            system,
            i64::from(from),
            i64::from(to)
        )?;
        for (holder, entitlement, body) in rows {
            held.qualifiers.push((Pair { holder: number(holder)?, held: number(entitlement)? }, body.into()));
        }
    }
    Ok(held)
}

async fn write_changes(
    tx: &mut Tx,
    system: i64,
    epoch: i64,
    relation: Relation,
    changes: &Changes,
) -> Result<()> {
    // Qualifiers end before others begin: a changed one has both in the same epoch.
    if !changes.qualifiers_ended.is_empty() {
        execute_list!(
            tx,
            &changes.qualifiers_ended[..],
            "UPDATE grant_qualifier SET until = $2 FROM (SELECT value >> 32 AS holder, value & 4294967295 AS held FROM ",
            ") AS gone WHERE system = $3 AND until IS NULL AND account = gone.holder AND entitlement = gone.held",
            epoch,
            system
        )?;
    }
    if !changes.qualifiers_begun.is_empty() {
        let rows: Vec<_> =
            changes.qualifiers_begun.iter().map(|(pair, text)| (pair.holder, pair.held, text)).collect();
        execute_rows!(
            tx,
            &rows,
            "INSERT INTO grant_qualifier (system, account, entitlement, since, body)
             SELECT $2, CAST(value->>0 AS BIGINT), CAST(value->>1 AS BIGINT), $3, value->>2 FROM ",
            "",
            system,
            epoch
        )?;
    }
    if !changes.ended.is_empty() {
        match relation {
            Relation::Grant => execute_list!(
                tx,
                &changes.ended[..],
                "UPDATE grant_interval SET until = $2
                 FROM (SELECT value >> 32 AS holder, value & 4294967295 AS held FROM ",
                ") AS gone WHERE system = $3 AND until IS NULL AND account = gone.holder AND entitlement = gone.held",
                epoch,
                system
            )?,
            Relation::Containment => execute_list!(
                tx,
                &changes.ended[..],
                "UPDATE containment_interval SET until = $2
                 FROM (SELECT value >> 32 AS holder, value & 4294967295 AS held FROM ",
                ") AS gone WHERE system = $3 AND until IS NULL AND parent = gone.holder AND child = gone.held",
                epoch,
                system
            )?,
        };
    }
    if !changes.begun.is_empty() {
        match relation {
            Relation::Grant => execute_list!(
                tx,
                &changes.begun[..],
                "INSERT INTO grant_interval (system, account, entitlement, since)
                 SELECT $2, value >> 32, value & 4294967295, $3 FROM ",
                "",
                system,
                epoch
            )?,
            Relation::Containment => execute_list!(
                tx,
                &changes.begun[..],
                "INSERT INTO containment_interval (system, parent, child, since)
                 SELECT $2, value >> 32, value & 4294967295, $3 FROM ",
                "",
                system,
                epoch
            )?,
        };
    }
    Ok(())
}

async fn list_problems(
    writer: &mut EpochWriter,
    tx: &mut Tx,
    relation: Relation,
    changes: &Changes,
) -> Result<()> {
    const DUPLICATE: &str = "listed more than once; the first one counts";
    let room = writer.problems.room();
    let all = changes.duplicates.len() + changes.dangling.len();
    let listed: Vec<(Pair, bool)> = changes
        .duplicates
        .iter()
        .map(|pair| (*pair, true))
        .chain(changes.dangling.iter().map(|pair| (*pair, false)))
        .take(room)
        .collect();
    let wanted: HashSet<u32> = listed.iter().flat_map(|(pair, _)| [pair.holder, pair.held]).collect();
    let names = dictionary::names(tx, writer.system, &wanted).await?;
    let name = |number: &u32| names.get(number).map_or("?", String::as_str);
    for (pair, duplicate) in &listed {
        let (holder, held) = (name(&pair.holder), name(&pair.held));
        let (place, ends) = match relation {
            Relation::Grant => (format!("grant of {held} to account {holder}"), "account or entitlement"),
            Relation::Containment => (format!("{holder} containing {held}"), "entitlement"),
        };
        let message = if *duplicate {
            DUPLICATE.to_owned()
        } else {
            format!("its {ends} was never listed, so it holds nothing; check that the source lists both")
        };
        writer.problems.push(Problem::new(place, message));
    }
    writer.problems.push_unlisted((all - listed.len()) as u64);
    Ok(())
}

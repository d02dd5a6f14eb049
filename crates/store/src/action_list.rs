//! Lists of actions: by where they stand, a page at a time.

use std::collections::BTreeMap;

use leasehold_model::action::ActionState;
use leasehold_model::id::{ActionId, PlanHash, SystemName};
use serde_json::json;

use crate::action::{ActionRow, Row, action_row, select_actions};
use crate::db::{count, fetch_all, fetch_one, fetch_optional, stored};
use crate::error::{Result, StoreError};
use crate::store::Store;

/// Which actions to list; what is empty does not restrict.
#[derive(Debug, Clone, Default)]
pub struct ActionFilter {
    /// Only of this plan.
    pub plan: Option<PlanHash>,
    /// Only in one of these states.
    pub states: Vec<ActionState>,
    /// Only in this system.
    pub system: Option<SystemName>,
}

/// In which order to list actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionOrder {
    /// As their plan lists them.
    Plan,
    /// Those that changed last first.
    NewestChange,
}

/// The states as a JSON list that both databases search as text; `*` is in it where any state will do.
fn states_text(states: &[ActionState]) -> String {
    if states.is_empty() {
        return "*".to_owned();
    }
    json!(states).to_string()
}

impl ActionFilter {
    fn binds(&self) -> (Option<&str>, Option<&str>, String) {
        (
            self.plan.as_ref().map(PlanHash::as_str),
            self.system.as_ref().map(SystemName::as_str),
            states_text(&self.states),
        )
    }
}

macro_rules! matching {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " WHERE (CAST($1 AS TEXT) IS NULL OR action.plan = $1) AND (CAST($2 AS TEXT) IS NULL OR action.system = $2)
                AND ($3 = '*' OR $3 LIKE '%\"' || state || '\"%') ",
            $after
        )
    };
}

impl Store {
    /// How many actions there are in each state, of those that the filter lets pass.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where a state does not read back.
    pub async fn action_counts(&self, filter: &ActionFilter) -> Result<BTreeMap<ActionState, u64>> {
        let (plan, system, states) = filter.binds();
        let mut tx = self.db.read().await?;
        let rows = match (plan, system) {
            // The index alone answers this.
            (None, None) if filter.states.is_empty() => {
                fetch_all!(&mut tx, (String, i64), "SELECT state, COUNT(*) FROM action GROUP BY state")?
            }
            (Some(plan), None) => fetch_all!(
                &mut tx,
                (String, i64),
                "SELECT state, COUNT(*) FROM action WHERE plan = $1 GROUP BY state",
                plan
            )?,
            _ => fetch_all!(
                &mut tx,
                (String, i64),
                matching!("SELECT state, COUNT(*) FROM action", "GROUP BY state"),
                plan,
                system,
                states
            )?,
        };
        let parsed = rows.into_iter().map(|(state, number)| {
            let known = ActionState::parse(&state);
            let known =
                known.ok_or_else(|| StoreError::corrupt("an action", format!("the state `{state}`")))?;
            Ok((known, count(number)))
        });
        parsed.collect()
    }

    /// Actions, a page of them.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn action_rows(
        &self,
        filter: &ActionFilter,
        order: ActionOrder,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<ActionRow>> {
        let (plan, system, states) = filter.binds();
        let (offset, limit) = (stored(offset as u64), stored(limit as u64));
        let mut tx = self.db.read().await?;
        let rows = match order {
            ActionOrder::Plan => fetch_all!(
                &mut tx,
                Row,
                select_actions!(
                    "WHERE (CAST($1 AS TEXT) IS NULL OR action.plan = $1)
                        AND (CAST($2 AS TEXT) IS NULL OR action.system = $2)
                        AND ($3 = '*' OR $3 LIKE '%\"' || state || '\"%')
                     ORDER BY plan.id DESC, seq LIMIT $4 OFFSET $5"
                ),
                plan,
                system,
                states,
                limit,
                offset
            )?,
            ActionOrder::NewestChange => fetch_all!(
                &mut tx,
                Row,
                select_actions!(
                    "WHERE (CAST($1 AS TEXT) IS NULL OR action.plan = $1)
                        AND (CAST($2 AS TEXT) IS NULL OR action.system = $2)
                        AND ($3 = '*' OR $3 LIKE '%\"' || state || '\"%')
                     ORDER BY action.changed_at DESC, plan.id DESC, seq LIMIT $4 OFFSET $5"
                ),
                plan,
                system,
                states,
                limit,
                offset
            )?,
        };
        rows.into_iter().map(action_row).collect()
    }

    /// Actions in the order of plans, oldest plan first, at most `limit` after the one that is named: a page that
    /// stays the same however many plans are made meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where one does not read back.
    pub async fn actions_after(
        &self,
        filter: &ActionFilter,
        after: Option<&(PlanHash, ActionId)>,
        limit: usize,
    ) -> Result<Vec<ActionRow>> {
        let (plan, system, states) = filter.binds();
        let (after_plan, after_id) = after.map(|(plan, id)| (plan.as_str(), id.as_str())).unzip();
        let mut tx = self.db.read().await?;
        let rows = fetch_all!(
            &mut tx,
            Row,
            select_actions!(
                "WHERE (CAST($1 AS TEXT) IS NULL OR action.plan = $1)
                    AND (CAST($2 AS TEXT) IS NULL OR action.system = $2)
                    AND ($3 = '*' OR $3 LIKE '%\"' || state || '\"%')
                    AND (CAST($4 AS TEXT) IS NULL
                         OR plan.id > (SELECT id FROM plan WHERE hash = $4)
                         OR (action.plan = $4
                             AND seq > (SELECT seq FROM action WHERE plan = $4 AND id = CAST($5 AS TEXT))))
                 ORDER BY plan.id, seq LIMIT $6"
            ),
            plan,
            system,
            states,
            after_plan,
            after_id,
            stored(limit as u64)
        )?;
        rows.into_iter().map(action_row).collect()
    }

    /// How many actions the filter lets pass.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn action_count(&self, filter: &ActionFilter) -> Result<u64> {
        let (plan, system, states) = filter.binds();
        let mut tx = self.db.read().await?;
        let (actions,): (i64,) =
            fetch_one!(&mut tx, (i64,), matching!("SELECT COUNT(*) FROM action", ""), plan, system, states)?;
        Ok(count(actions))
    }

    /// One action.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it does not read back.
    pub async fn action(&self, plan: &PlanHash, id: &ActionId) -> Result<Option<ActionRow>> {
        let mut tx = self.db.read().await?;
        let row = fetch_optional!(
            &mut tx,
            Row,
            select_actions!("WHERE action.plan = $1 AND action.id = $2"),
            plan.as_str(),
            id.as_str()
        )?;
        row.map(action_row).transpose()
    }
}

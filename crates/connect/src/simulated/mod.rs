//! A practice company with systems of its own: for `demo`, for the story tests, and for learning Leasehold without
//! touching anything real.

mod change;
pub mod company;
pub mod connector;
pub mod days;
pub mod dice;
pub mod faults;
mod issue;
mod people;
mod policy;
mod roles;
pub mod state;
mod switch;
mod systems;
mod trouble;
pub mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use leasehold_model::Timestamp;
use leasehold_model::capability::Capabilities;
use leasehold_model::setting::SettingField;

pub use company::{Company, Planted};
pub use connector::{SimulatedConnector, is_injected_crash};
pub use faults::{FaultKind, Faults, Operation};
pub use world::World;

use crate::connector::{Connector, ConnectorKind};
use crate::error::ConnectError;
use crate::settings::Settings;

const PEOPLE_DEFAULT: u64 = 200;
const PEOPLE_MAX: u64 = 1_000_000;
const LATENCY_MS_MAX: u64 = 60_000;

/// `connector = "simulated"`.
#[derive(Debug)]
pub struct Simulated;

impl ConnectorKind for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn summary(&self) -> &'static str {
        "a practice company from a seed, to learn and test with; nothing real is touched"
    }

    fn capabilities(&self) -> Capabilities {
        connector::capabilities_of(state::SystemTraits::default())
    }

    fn fields(&self) -> &'static [SettingField] {
        &[]
    }

    fn build(&self, settings: &mut Settings) -> Result<Box<dyn Connector>, ConnectError> {
        let system =
            settings.optional_string("system")?.unwrap_or_else(|| settings.system().as_str().to_owned());
        let seed = settings.integer_or("seed", 1, 0, i64::MAX as u64)?;
        let people = settings.integer_or("people", PEOPLE_DEFAULT, 1, PEOPLE_MAX)?;
        let state = settings.optional_path("state")?;
        let latency_ms = settings.integer_or("latency_ms", 0, 0, LATENCY_MS_MAX)?;
        let as_of = settings.optional_string("as_of")?;
        settings.bool_or("authoritative", system == company::FEED)?;
        let as_of = as_of.map(|text| text.parse::<Timestamp>()).transpose().map_err(|_| {
            settings.error("as_of", "is not an instant; write for example `as_of = \"2026-01-15T00:00:00Z\"`")
        })?;
        let people = usize::try_from(people).unwrap_or(usize::MAX);
        let company = || match as_of {
            Some(as_of) => Company::generate_as_of(seed, people, as_of),
            None => Company::generate(seed, people),
        };
        let world = match state {
            Some(path) => open_shared(&path, company)
                .map_err(|error| settings.error("state", format!("{}: {error}", path.display())))?,
            None => in_memory((settings.directory().to_owned(), seed, people), company),
        };
        Ok(Box::new(world.connector(&system)?.with_latency(Duration::from_millis(latency_ms))))
    }
}

/// The world of a state file, shared by all connectors of this process for as long as one of them lives.
///
/// # Errors
/// Where the file cannot be read or written, or is not a saved state.
pub fn open_shared(path: &std::path::Path, company: impl FnOnce() -> Company) -> std::io::Result<Arc<World>> {
    static OPEN: Mutex<BTreeMap<PathBuf, Weak<World>>> = Mutex::new(BTreeMap::new());
    let path = std::path::absolute(path)?;
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(world) = open.get(&path).and_then(Weak::upgrade) {
        return Ok(world);
    }
    let world = World::open(&path, company)?;
    open.retain(|_, world| world.strong_count() > 0);
    open.insert(path, Arc::downgrade(&world));
    Ok(world)
}

/// The world of a configuration without a state file: it lasts as long as the process, so that connectors that are
/// built again find what the last ones did.
fn in_memory(key: (PathBuf, u64, usize), company: impl FnOnce() -> Company) -> Arc<World> {
    static WORLDS: Mutex<BTreeMap<(PathBuf, u64, usize), Arc<World>>> = Mutex::new(BTreeMap::new());
    let mut worlds = WORLDS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(worlds.entry(key).or_insert_with(|| World::new(&company())))
}

//! The shape of the workspace: which crate may use which, and that the registries and the table of laws are complete.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every edge between our crates that the manifests may have. The arrow points at what is used.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("ledger", &[]),
    ("spill", &[]),
    ("decide", &["model"]),
    ("connect", &["model", "spill"]),
    ("store", &["model", "ledger", "spill"]),
    ("reconcile", &["model", "decide", "connect", "store", "ledger"]),
    // No connector: a page records intent, and a task acts.
    ("web", &["model", "ledger", "decide", "store", "reconcile"]),
    ("app", &["model", "decide", "connect", "store", "ledger", "reconcile", "web"]),
];

/// Support for tests and measurements; nothing of the product may use them outside of tests.
const BESIDE: &[&str] = &["testing", "bench"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace").to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Our own crates in a table of a manifest.
fn own_dependencies(manifest: &toml::Table, table: &str) -> BTreeSet<String> {
    let names = manifest.get(table).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
    names.filter_map(|name| name.strip_prefix("leasehold-")).map(str::to_owned).collect()
}

fn crate_names() -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join("crates")).expect("the crates");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn crates_use_only_what_they_may() {
    let listed: BTreeSet<String> =
        EDGES.iter().map(|(name, _)| *name).chain(BESIDE.iter().copied()).map(str::to_owned).collect();
    assert_eq!(crate_names(), listed, "a crate is missing from EDGES or BESIDE");
    for (name, allowed) in EDGES {
        let manifest: toml::Table =
            toml::from_str(&read(&root().join("crates").join(name).join("Cargo.toml"))).expect("a manifest");
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        let found = own_dependencies(&manifest, "dependencies");
        assert!(found.is_subset(&allowed), "{name} may use {allowed:?}, and uses {found:?}");
    }
}

#[test]
fn deciding_knows_no_runtime_no_network_no_store_and_no_clock() {
    let manifest: toml::Table =
        toml::from_str(&read(&root().join("crates/decide/Cargo.toml"))).expect("a manifest");
    let dependencies = manifest["dependencies"].as_table().expect("dependencies");
    for forbidden in ["tokio", "reqwest", "sqlx", "ldap3", "axum"] {
        assert!(!dependencies.contains_key(forbidden), "decide must not use {forbidden}");
    }
    for (path, text) in sources("crates/decide/src") {
        for forbidden in ["Timestamp::now", "SystemTime::now", "Instant::now", "std::fs", "std::net"] {
            assert!(!text.contains(forbidden), "{}: {forbidden}", path.display());
        }
    }
}

#[test]
fn no_c_library_for_tls_is_linked() {
    let lock = read(&root().join("Cargo.lock"));
    for forbidden in ["openssl-sys", "aws-lc-sys", "native-tls"] {
        assert!(!lock.contains(&format!("name = \"{forbidden}\"")), "{forbidden} is in Cargo.lock");
    }
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = read(&path);
                found.push((path, text));
            }
        }
    }
    found
}

/// Names of files below a folder that a registry must list, as `mod NAME`.
fn modules(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join(folder)).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").path());
    names
        .filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
        .filter(|name| name != "mod")
        .collect()
}

#[test]
fn every_rule_and_command_has_its_registry_line() {
    let rules = read(&root().join("crates/decide/src/rules/mod.rs"));
    for rule in modules("crates/decide/src/rules") {
        assert!(rules.contains(&format!("find: {rule}::find")), "rule {rule} is not in RULES");
    }
    let commands = read(&root().join("crates/app/src/commands/mod.rs"));
    for command in modules("crates/app/src/commands") {
        assert!(commands.contains(&format!("({command}::")), "command {command} is not in Command");
    }
}

/// Commands of this machine alone; `commands/mod.rs` says so where a server is named, for those that would matter.
const OF_THIS_MACHINE: [&str; 5] = ["completions", "demo", "init", "man", "serve"];

#[test]
fn every_command_knows_whether_it_is_about_a_server() {
    let commands = root().join("crates/app/src/commands");
    for command in modules("crates/app/src/commands") {
        let file = commands.join(format!("{command}.rs"));
        let file = if file.exists() { file } else { commands.join(&command).join("mod.rs") };
        let asks = read(&file).contains("Remote::");
        assert_ne!(
            asks,
            OF_THIS_MACHINE.contains(&command.as_str()),
            "{command}: a server, or only this machine?"
        );
    }
}

#[test]
fn every_task_has_its_registry_line() {
    let tasks = read(&root().join("crates/reconcile/src/tasks/mod.rs"));
    for task in modules("crates/reconcile/src/tasks") {
        assert!(tasks.contains(&format!("&{task}::")), "task {task} is not in TASKS");
    }
}

#[test]
fn every_connector_has_its_registry_line_and_its_page() {
    let registry = read(&root().join("crates/connect/src/registry.rs"));
    let page = read(&root().join("docs/capabilities.md"));
    for kind in leasehold_connect::registry::KINDS {
        let name = kind.name();
        assert!(registry.contains(&format!("{name}::")), "connector {name} is not in KINDS");
        assert!(root().join("crates/connect/src").join(name).is_dir(), "connector {name} has no folder");
    }
    assert_eq!(
        page.trim(),
        leasehold_connect::registry::capabilities_markdown().trim(),
        "run `leasehold connector capabilities --markdown > docs/capabilities.md`"
    );
}

#[test]
fn every_kind_of_ledger_entry_is_documented() {
    let page = read(&root().join("docs/ledger.md"));
    for kind in leasehold_model::event::EventKind::ALL {
        assert!(page.contains(&format!("`{}`", kind.as_str())), "docs/ledger.md lacks {}", kind.as_str());
    }
}

#[test]
fn every_page_and_call_has_its_registry_line() {
    let registry = read(&root().join("crates/web/src/routes.rs"));
    for (path, text) in sources("crates/web/src") {
        let brings_routes = text.contains("pub(crate) const ROUTES: &[Route]");
        // A page of several files is named after its folder.
        let named = if path.ends_with("mod.rs") { path.parent() } else { Some(path.as_path()) };
        let stem = named.and_then(std::path::Path::file_stem);
        let name = stem.map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        assert!(
            !brings_routes || registry.contains(&format!("{name}::ROUTES")),
            "{} is not in TABLES",
            path.display()
        );
    }
}

#[test]
fn no_page_has_a_script_or_a_style_inline() {
    let mut folders = vec![root().join("crates/web/templates")];
    let mut templates = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the templates") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { templates.push(path) }
        }
    }
    assert!(templates.len() > 30, "{templates:?}");
    for path in templates {
        let text = read(&path);
        for forbidden in [
            " style=",
            "<style",
            " onclick=",
            " onsubmit=",
            "javascript:",
            "|safe",
            "| safe",
            "http://",
            "https://",
        ] {
            assert!(!text.contains(forbidden), "{}: {forbidden}", path.display());
        }
        for script in text.split("<script").skip(1) {
            assert!(script.trim_start().starts_with("src="), "{}: a script inline", path.display());
        }
    }
}

#[test]
fn every_law_names_tests_that_exist() {
    let architecture = read(&root().join("ARCHITECTURE.md"));
    let mut laws = BTreeSet::new();
    for line in architecture.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(number) = cells.get(1).and_then(|cell| cell.parse::<u32>().ok()) else { continue };
        let tests = cells.get(3).unwrap_or_else(|| panic!("law {number} names no test"));
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(names.len() >= 2 && names.len().is_multiple_of(2), "law {number}: {tests}");
        for pair in names.chunks(2) {
            let text = read(&root().join(pair[0]));
            assert!(
                text.contains(&format!("fn {}(", pair[1])),
                "law {number}: {} has no test {}",
                pair[0],
                pair[1]
            );
        }
        laws.insert(number);
    }
    assert_eq!(laws, (1..=12).collect(), "ARCHITECTURE.md lists twelve laws");
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for (path, text) in sources("crates") {
        assert!(
            text.starts_with("//! "),
            "{} does not open with a sentence on what it is for",
            path.display()
        );
    }
}

//! The `rest` connector against a real JSON API, and against answers that prove nothing.

pub mod contract;
mod failures;
mod reading;

use leasehold_connect::connector::Connector;
use leasehold_testing::RestServer;
use serde_json::{Value, json};

use crate::harness::build;

/// Twelve people, each as an HR system tells of them.
pub fn people() -> Value {
    let person = |number: u32| {
        json!({
            "id": number,
            "employeeNumber": format!("E{number}"),
            "contact": {"email": format!("p{number}@example.com"), "boss": "p1@example.com"},
            "givenName": format!("Given {number}"),
            "costCenter": 4200 + number,
            "skills": ["one", "two"],
            "remote": number.is_multiple_of(2),
            "employment": {"state": "Employed", "ends": null},
            "startDate": "2024-02-01",
        })
    };
    (1..=12).map(person).collect()
}

/// What the settings say of such people.
pub const COLUMNS: &str = "
authoritative = true
columns = { email = '/contact/email', manager = '/contact/boss', status = '/employment/state', end_date = '/employment/ends' }
statuses = { employed = 'active', dismissed = 'left' }
";

/// The settings for an API, with others.
pub fn table(server: &RestServer, path: &str, more: &str) -> String {
    format!(
        "url = '{}'\ntoken = 'file:{}'\n{COLUMNS}\n{more}",
        server.url(path),
        server.token_file().display()
    )
}

/// The connector.
pub fn connector(server: &RestServer, path: &str, more: &str) -> Box<dyn Connector> {
    build("rest", &table(server, path, more))
}

//! Where several sources list somebody and disagree, the one that is believed first counts, and what the others say is shown.

use std::path::Path;

use leasehold_decide::merge::Precedence;
use leasehold_reconcile::system::{System, Systems};
use serde_json::json;

use crate::company::text_of;
use crate::support::{Installation, company, connected};

/// The company, and a payroll that knows two of them otherwise.
fn with_payroll(folder: &Path) -> Systems {
    let mut systems = company(folder);
    let people = "email,manager,department,status\n\
        ada@example.com,dana@example.com,Finance,active\n\
        mia@example.com,dana@example.com,Sales,active\n";
    std::fs::write(folder.join("payroll.csv"), people).expect("written");
    let payroll = connected(folder, "payroll", "csv", true, "path = \"payroll.csv\"");
    // Only about who manages somebody payroll is believed first.
    let precedence = Precedence { general: 200, of_attribute: [("manager".to_owned(), 1)].into() };
    let payroll = System { precedence, ..payroll };
    systems.insert(payroll.name.clone(), payroll);
    systems
}

#[tokio::test]
async fn what_sources_disagree_about_is_shown_with_what_each_says() {
    let installation = Installation::with_systems(with_payroll).await;
    let mut program = installation.program().await;
    let found = program.get("/api/v1/identities?conflicts=true").await.json();
    let found = found["items"].as_array().expect("rows");
    assert_eq!(found.len(), 1, "{found:#?}");
    let ada = &found[0];
    assert_eq!(
        (&ada["key"], &ada["attributes"]["department"], &ada["manager"]),
        (&json!("ada@example.com"), &json!("Sales"), &json!("dana@example.com"))
    );
    assert_eq!(
        ada["conflicts"],
        json!([
            {
                "attribute": "manager",
                "used": {"system": "payroll", "value": "dana@example.com"},
                "instead": [{"system": "hr", "value": "mia@example.com"}],
            },
            {
                "attribute": "department",
                "used": {"system": "hr", "value": "Sales"},
                "instead": [{"system": "payroll", "value": "Finance"}],
            },
        ])
    );
    let mia = program.get("/api/v1/identities/mia@example.com").await.json();
    assert_eq!(mia["conflicts"], json!([]), "{mia}");

    let mut browser = installation.signed_in().await;
    let list = text_of(&browser.get("/identities").await.text);
    assert!(list.contains("sources disagree: manager, department"), "{list}");
    let page = text_of(&browser.get("/identities/ada@example.com").await.text);
    for word in ["Finance", "payroll", "mia@example.com"] {
        assert!(page.contains(word), "{word}: {page}");
    }
}

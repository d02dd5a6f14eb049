//! Holds `docs/external-connectors.md` to the protocol: every example is what we ask, or what we understand.

use std::collections::{BTreeMap, BTreeSet};

use leasehold_model::credential::CredentialKind;
use leasehold_model::id::ActionId;
use leasehold_model::plan::Verb;
use leasehold_model::request::{
    AccountTarget, ActionRequest, CredentialTarget, EntitlementTarget, ReadBack, ReadTarget,
};
use serde_json::{Value, json};

use super::protocol::{self, Answer, Question, Request};
use super::{CAPABILITIES, fact, settings::names_of};

/// The lines of the page that are messages.
fn examples(page: &str) -> Vec<&str> {
    let blocks = page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).collect()
}

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/external-connectors.md");
    std::fs::read_to_string(path).expect("the page")
}

fn account(key: &str, login: &str) -> AccountTarget {
    AccountTarget { key: key.into(), login: login.to_owned() }
}

/// Every sort of question, as it is sent.
fn questions() -> Vec<String> {
    let (ann, backup) = (account("7f3a", "ann"), account("55d0", "backup"));
    let entitlement = EntitlementTarget { name: "group/staff".parse().unwrap(), native: None };
    let credential = CredentialTarget { key: "k-19".into(), kind: CredentialKind::ApiKey };
    let job = CredentialTarget { key: "j-3".into(), kind: CredentialKind::ScheduledJob };
    let settings = json!({"users": "users", "groups": "groups"});
    let reads = [
        ReadTarget::Grant { account: ann.clone(), entitlement: entitlement.clone() },
        ReadTarget::Account { account: ann.clone() },
        ReadTarget::Credential { account: backup.clone(), credential: credential.clone() },
        ReadTarget::Sessions { account: ann.clone() },
        ReadTarget::Sessions { account: backup.clone() },
        ReadTarget::HandOver {
            action: "a-4f24".into(),
            account: ann.clone(),
            credential: job.clone(),
            to: backup.clone(),
        },
    ];
    let change = |id: &str, verb, account: &AccountTarget| ActionRequest {
        id: id.into(),
        verb,
        account: account.clone(),
        entitlement: None,
        credential: None,
        to: None,
        attributes: BTreeMap::new(),
    };
    let email = BTreeMap::from([("email".to_owned(), "cy@example.com".to_owned())]);
    let changes = [
        ActionRequest { entitlement: Some(entitlement), ..change("a-4f1e", Verb::Revoke, &ann) },
        ActionRequest { credential: Some(credential), ..change("a-4f1f", Verb::RevokeCredential, &backup) },
        ActionRequest { attributes: email, ..change("a-4f20", Verb::CreateAccount, &account("", "cy")) },
        change("a-4f21", Verb::DisableAccount, &ann),
        ActionRequest {
            credential: Some(job),
            to: Some(backup.clone()),
            ..change("a-4f24", Verb::HandOverCredential, &ann)
        },
    ];
    let mut requests = vec![
        Request::Hello {
            protocol: protocol::VERSION,
            system: "wiki",
            settings: settings.as_object().unwrap(),
            secrets: BTreeMap::from([("password", "correct horse")]),
        },
        Request::Test,
        Request::Enumerate,
    ];
    requests.extend(reads.iter().map(Request::ReadBack));
    requests.extend(changes.iter().map(|change| Request::Execute(change.into())));
    let asked: [(ActionId, &AccountTarget); 2] = [("a-4f22".into(), &ann), ("a-4f23".into(), &backup)];
    requests.extend(asked.iter().map(|(action, account)| Request::IssueCredential { action, account }));
    let question =
        |(id, request): (u64, &Request<'_>)| serde_json::to_string(&Question { id, request }).unwrap();
    (1..).zip(&requests).map(question).collect()
}

#[test]
fn every_question_stands_on_the_page_as_it_is_sent() {
    let page = page();
    let examples = examples(&page);
    for question in questions() {
        assert!(examples.contains(&question.as_str()), "not on the page: {question}");
    }
}

#[test]
fn every_answer_on_the_page_is_understood_and_every_type_is_there() {
    let (page, questions) = (page(), questions());
    let mut missing: BTreeSet<&str> = fact::TYPES.into_iter().chain(protocol::TYPES).collect();
    let mut reads = BTreeSet::new();
    for line in examples(&page).into_iter().filter(|line| !questions.iter().any(|question| question == line))
    {
        let message = protocol::parse(line.as_bytes()).unwrap_or_else(|why| panic!("{why}: {line}"));
        let answer = message.answer.unwrap_or_else(|why| panic!("{why}: {line}"));
        missing.remove(message.of_type.as_str());
        if let Answer::Read(read) = answer {
            reads.insert(match read {
                ReadBack::Grant { .. } => "grant",
                ReadBack::Account { .. } => "account",
                ReadBack::Credential { .. } => "credential",
                ReadBack::HandOver { .. } => "hand_over",
                ReadBack::Sessions { .. } => "sessions",
                ReadBack::Unsupported { .. } => "unsupported",
            });
        }
        every_field_counts(line);
    }
    assert!(missing.is_empty(), "no example of {missing:?}");
    assert_eq!(reads.len(), 6, "{reads:?}");
}

/// An unknown field is refused wherever it stands in a message.
fn every_field_counts(line: &str) {
    let mut message: Value = serde_json::from_str(line).unwrap();
    message["enable"] = json!(true);
    let answer = protocol::parse(message.to_string().as_bytes()).unwrap().answer;
    assert!(answer.is_err_and(|why| why.contains("unknown field `enable`")), "{line}");
}

#[test]
fn the_page_counts_the_facts_of_its_own_example_and_names_every_capability_and_verb() {
    let page = page();
    let told = examples(&page).into_iter().take_while(|line| !line.contains("\"complete\""));
    let facts =
        told.filter_map(|line| protocol::parse(line.as_bytes()).ok()).filter(|message| message.is_fact());
    let facts = facts.count();
    assert!(page.contains(&format!("\"type\":\"complete\",\"evidence\":\"2 users by the system's own count and by ours\",\"facts\":{facts}}}")), "{facts}");
    for name in names_of(&CAPABILITIES) {
        assert!(page.contains(&format!("`{name}`")), "{name} is not on the page");
    }
    for verb in Verb::ALL {
        assert!(page.contains(&format!("`{verb}`")), "{verb} is not on the page");
    }
}

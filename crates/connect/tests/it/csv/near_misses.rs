//! Columns that are called almost like one that decides something.

use super::*;

#[tokio::test]
async fn a_column_that_is_almost_called_like_one_that_decides_is_a_problem() {
    let said = async |people: &str, more: &str| {
        let (collected, ended) = read_feed(people, more).await;
        assert!(ended.unwrap().is_complete(), "all of it was read");
        assert_eq!(collected.identities().len(), 1);
        collected.problems
    };
    for (header, near) in [
        ("Stats", "status"),
        ("statuss", "status"),
        ("EndDate", "end_date"),
        ("managr", "manager"),
        ("Owners", "owner"),
    ] {
        let problems = said(&format!("email,{header}\nkim@example.com,\n"), "").await;
        assert_eq!(places(&problems), ["people.csv"], "{header}");
        let message = &problems[0].message;
        assert!(message.contains(&format!("`columns.{near} = \"{header}\"`")), "{message}");
    }
    // Others are what they are called, and so is what is said to be meant.
    for (people, more) in [
        ("email,id,state,hire_date,last_date\nkim@example.com,,,,\n", ""),
        ("email,stats,status\nkim@example.com,,active\n", ""),
        ("email,stats\nkim@example.com,\n", "columns = { stats = 'stats' }"),
        ("email,stats\nkim@example.com,active\n", "columns = { status = 'stats' }"),
    ] {
        let problems = said(people, more).await;
        assert!(problems.is_empty(), "{people}: {problems:?}");
    }
    let system = "accounts = 'accounts.csv'";
    let (collected, _) = read(&[("accounts.csv", "login,enabld\nkim,no\n")], system).await;
    assert_eq!(places(&collected.problems), ["accounts.csv"]);
    assert!(collected.problems[0].message.contains("`columns.enabled"), "{:?}", collected.problems);
}

#[tokio::test]
async fn where_other_columns_are_not_read_they_are_told_of_too() {
    let said = async |grants: &str, roles: &str, of_grants: &str, of_roles: &str| {
        let settings = format!(
            "[grants]\npath = 'grants.csv'\n{of_grants}\n[entitlements]\npath = 'roles.csv'\n{of_roles}\n"
        );
        let (collected, ended) = read(&[("grants.csv", grants), ("roles.csv", roles)], &settings).await;
        assert!(ended.unwrap().is_complete(), "all of it was read");
        assert_eq!((collected.grants().len(), collected.entitlements().len()), (1, 1));
        collected.problems
    };
    let (grants, roles) = ("account,entitlement\nkim,reader\n", "name\nreader\n");
    for (header, near) in [("Valid Untill", "valid_until"), ("ValidFrom", "valid_from")] {
        let misspelt = format!("account,entitlement,{header}\nkim,reader,2026-01-01\n");
        let problems = said(&misspelt, roles, "", "").await;
        assert_eq!(places(&problems), ["grants.csv"], "{header}");
        let message = &problems[0].message;
        assert!(message.contains("is not read and decides nothing"), "{message}");
        for way_on in [format!("`columns.{near} = \"{header}\"`"), format!("`columns.{near} = \"\"`")] {
            assert!(message.contains(&way_on), "{message}");
        }
        for meant in [format!("columns = {{ {near} = '{header}' }}"), format!("columns = {{ {near} = '' }}")]
        {
            assert_eq!(places(&said(&misspelt, roles, &meant, "").await), [""; 0], "{meant}");
        }
    }
    let misspelt = "name,Privilegd\nreader,yes\n";
    assert_eq!(places(&said(grants, misspelt, "", "").await), ["roles.csv"]);
    assert_eq!(places(&said(grants, misspelt, "", "columns = { privileged = 'Privilegd' }").await), [""; 0]);
    assert_eq!(places(&said(grants, roles, "", "").await), [""; 0]);
}

#[tokio::test]
async fn a_column_that_is_said_not_to_be_there_takes_no_column_without_a_name() {
    let (collected, ended) =
        read_feed(",email\n17,kim@example.com\n", "columns = { employee_number = '' }").await;
    assert!(ended.unwrap().is_complete());
    assert_eq!(collected.identities()[0].attribute("employee_number"), None);
}

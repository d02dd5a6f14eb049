//! What a pushed resource stands for, in the words of the facts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use leasehold_model::account::Account;
use leasehold_model::entitlement::Entitlement;
use leasehold_model::id::IdentityKey;
use leasehold_model::identity::{
    DayEdge, Identity, IdentityKind, LifecycleState, SCIM_LIFECYCLE_EXTENSION, Unsaid, read_day,
};
use serde_json::Value;

/// The schema whose attributes an organisation adds.
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Attributes by our names and where they stand in a resource (RFC 7643); those that begin with `/` in the resource itself,
/// others in the organisation's part.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("user_name", "/userName"),
    ("external_id", "/externalId"),
    ("display_name", "/displayName"),
    ("given_name", "/name/givenName"),
    ("family_name", "/name/familyName"),
    ("title", "/title"),
    ("user_type", "/userType"),
    ("locale", "/locale"),
    ("timezone", "/timezone"),
    ("employee_number", "employeeNumber"),
    ("cost_center", "costCenter"),
    ("organization", "organization"),
    ("division", "division"),
    ("department", "department"),
];

/// How what a system pushes is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// The attribute that tells users apart.
    pub(super) key: &'static str,
    /// Users are identities, not accounts.
    pub(super) is_authoritative: bool,
}

/// A user who was pushed.
#[derive(Debug, Clone, Copy)]
pub struct PushedUser<'a> {
    /// The id that the server gave.
    pub id: &'a str,
    /// The resource.
    pub resource: &'a Value,
}

/// A group that was pushed.
#[derive(Debug, Clone, Copy)]
pub struct PushedGroup<'a> {
    /// The id that the server gave.
    pub id: &'a str,
    /// The resource.
    pub resource: &'a Value,
}

impl Pushed {
    /// Whether users are identities; else they are accounts.
    pub fn is_authoritative(&self) -> bool {
        self.is_authoritative
    }

    /// Whether no two users can have the same key.
    pub fn is_key_unique(&self) -> bool {
        matches!(self.key, "userName" | "id")
    }

    /// The key of the identity that a user is.
    ///
    /// # Errors
    /// What the user lacks.
    pub fn key_of(&self, user: PushedUser<'_>) -> Result<IdentityKey, String> {
        let key = match self.key {
            "id" => Some(user.id.to_owned()),
            "email" => user.email(),
            "employeeNumber" => user.enterprise("employeeNumber"),
            name => user.text(&format!("/{name}")),
        };
        key.map(IdentityKey::from).ok_or_else(|| {
            format!("has no `{}`, which is the key of identities in this system; it is no identity", self.key)
        })
    }

    /// The identity that a user is, and what of it could not be understood. `groups` are the names of theirs; a manager's key is
    /// looked up by whoever reads.
    ///
    /// # Errors
    /// What the user lacks.
    pub fn identity(
        &self,
        user: PushedUser<'_>,
        groups: &[String],
        manager: Option<IdentityKey>,
    ) -> Result<(Identity, Vec<String>), String> {
        let mut mended = Vec::new();
        let mut attributes = user.attributes();
        if !groups.is_empty() {
            attributes.insert("groups".to_owned(), groups.join(", "));
        }
        let kind = attributes.get("user_type").and_then(|kind| IdentityKind::parse(kind));
        let identity = Identity {
            key: self.key_of(user)?,
            // Most user types are words of the organisation's own, and mean people.
            kind: kind.unwrap_or_default(),
            state: user.state(&mut mended),
            start: user.day("startDate", DayEdge::Start, &mut mended),
            end: user.day("endDate", DayEdge::End, &mut mended),
            manager,
            owner: None,
            attributes,
            unsaid: Unsaid::default(),
        };
        Ok((identity, mended))
    }
}

impl PushedUser<'_> {
    /// The id of whom they report to.
    pub fn manager(&self) -> Option<&str> {
        let manager = self.resource.get(ENTERPRISE)?.get("manager")?.get("value")?.as_str()?;
        (!manager.is_empty()).then_some(manager)
    }

    /// Whether they may hold access. Null is what is left of a deactivation that was taken away.
    pub fn is_active(&self) -> bool {
        !matches!(self.resource.get("active"), Some(Value::Bool(false) | Value::Null))
    }

    /// Where they stand. A status that nobody knows is taken as active: whoever is pushed as active is there.
    fn state(&self, mended: &mut Vec<String>) -> LifecycleState {
        if !self.is_active() {
            return LifecycleState::Left;
        }
        let status = self.lifecycle("status").unwrap_or_default();
        LifecycleState::parse(status).unwrap_or_else(|| {
            mended.push(format!(
                "status `{status}` is not known and taken as active; known are {}",
                LifecycleState::NAMES.join(", ")
            ));
            LifecycleState::Active
        })
    }

    fn day(&self, name: &str, edge: DayEdge, mended: &mut Vec<String>) -> Option<Timestamp> {
        let text = self.lifecycle(name)?;
        let read = read_day(text, self.text("/timezone").as_deref(), edge);
        if read.is_none() {
            mended.push(format!(
                "{name} `{text}` is no day and no instant; write it as 2026-01-31 or 2026-01-31T18:00:00+01:00"
            ));
        }
        read
    }

    fn lifecycle(&self, name: &str) -> Option<&str> {
        self.resource.get(SCIM_LIFECYCLE_EXTENSION)?.get(name)?.as_str()
    }

    /// The account that they are, where the system is not authoritative.
    pub fn account(&self) -> Account {
        let login = self.text("/userName").unwrap_or_else(|| self.id.to_owned());
        let mut account = Account::new(self.id, login);
        account.enabled = self.is_active();
        account.attributes = self.attributes();
        if let Some(mail) = self.email() {
            account.attributes.insert("mail".to_owned(), mail);
        }
        account
    }

    fn attributes(&self) -> BTreeMap<String, String> {
        let mut attributes = BTreeMap::new();
        for (ours, place) in ATTRIBUTES {
            let value = if place.starts_with('/') { self.text(place) } else { self.enterprise(place) };
            attributes.extend(value.map(|value| ((*ours).to_owned(), value)));
        }
        attributes.extend(self.email().map(|mail| ("email".to_owned(), mail)));
        attributes
    }

    fn text(&self, pointer: &str) -> Option<String> {
        let text = self.resource.pointer(pointer)?.as_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn enterprise(&self, name: &str) -> Option<String> {
        let text = self.resource.get(ENTERPRISE)?.get(name)?.as_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The preferred mail address, else the one for work, else the first.
    fn email(&self) -> Option<String> {
        let mails = self.resource.get("emails")?.as_array()?;
        let is_primary = |mail: &&Value| mail.get("primary") == Some(&Value::Bool(true));
        let is_work = |mail: &&Value| mail.get("type").and_then(Value::as_str) == Some("work");
        let mail = mails.iter().find(is_primary).or_else(|| mails.iter().find(is_work)).or(mails.first())?;
        let text = mail.get("value")?.as_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl<'a> PushedGroup<'a> {
    /// What it is called.
    pub fn name(&self) -> &'a str {
        self.resource.get("displayName").and_then(Value::as_str).unwrap_or(self.id)
    }

    /// What its members hold. Groups of one name are told apart by their ids.
    pub fn entitlement(&self, is_name_shared: bool) -> Entitlement {
        let name =
            if is_name_shared { format!("{} ({})", self.name(), self.id) } else { self.name().to_owned() };
        Entitlement { native: Some(self.id.to_owned()), ..Entitlement::new("group", name) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_user_is_an_identity_with_what_the_organisation_says() {
        let resource = json!({
            "userName": "ada@example.com", "externalId": "00u1", "active": true, "title": "Engineer",
            "name": {"givenName": "Ada", "familyName": "Byron"},
            "emails": [{"value": "home@example.com", "type": "home"}, {"value": "ada.b@example.com", "type": "work"}],
            ENTERPRISE: {"department": "Research", "employeeNumber": "7", "manager": {"value": "m1"}},
        });
        let user = PushedUser { id: "u1", resource: &resource };
        let pushed = |key| Pushed { key, is_authoritative: true };
        let groups = ["a".to_owned(), "b".to_owned()];
        let (identity, _) = pushed("userName").identity(user, &groups, None).unwrap();
        assert_eq!((identity.key.as_str(), identity.state), ("ada@example.com", LifecycleState::Active));
        for (name, value) in [
            ("email", "ada.b@example.com"),
            ("department", "Research"),
            ("family_name", "Byron"),
            ("groups", "a, b"),
            ("external_id", "00u1"),
        ] {
            assert_eq!(identity.attribute(name), Some(value), "{name}");
        }
        assert_eq!(user.manager(), Some("m1"));
        for (key, expected) in
            [("id", "u1"), ("externalId", "00u1"), ("email", "ada.b@example.com"), ("employeeNumber", "7")]
        {
            assert_eq!(pushed(key).key_of(user).unwrap().as_str(), expected);
        }
        let bare = json!({"userName": "svc", "userType": "Service", "active": false});
        let user = PushedUser { id: "u2", resource: &bare };
        assert!(pushed("email").key_of(user).unwrap_err().contains("`email`"));
        let (identity, _) = pushed("userName").identity(user, &[], None).unwrap();
        assert_eq!((identity.kind, identity.state), (IdentityKind::Service, LifecycleState::Left));
    }

    #[test]
    fn days_and_leaves_are_told_by_the_extension() {
        let told = |active: bool, lifecycle: Value| {
            let resource = json!({
                "userName": "ada", "timezone": "Europe/Berlin", "active": active, SCIM_LIFECYCLE_EXTENSION: lifecycle,
            });
            let pushed = Pushed { key: "userName", is_authoritative: true };
            let (identity, mended) =
                pushed.identity(PushedUser { id: "u1", resource: &resource }, &[], None).unwrap();
            (identity.state, identity.start, identity.end, mended.len())
        };
        let end: Timestamp = "2026-03-31T16:00:00Z".parse().unwrap();
        let leaving = json!({"status": "leaving", "endDate": "2026-03-31T18:00:00+02:00"});
        assert_eq!(told(true, leaving.clone()), (LifecycleState::Leaving, None, Some(end), 0));
        assert_eq!(told(false, leaving), (LifecycleState::Left, None, Some(end), 0));
        // A day is that of the user's own time zone, and lasts through its end.
        let day = told(true, json!({"endDate": "2026-03-31"}));
        assert_eq!(day.2, "2026-03-31T22:00:00Z".parse().ok());
        // So is a time, where it has no offset.
        assert_eq!(told(true, json!({"endDate": "2026-03-31T18:00:00"})).2, Some(end));
        assert_eq!(
            told(true, json!({"startDate": "2026-03-31T16:00:00Z"})),
            (LifecycleState::Active, Some(end), None, 0)
        );
        assert_eq!(
            told(true, json!({"status": "resting", "endDate": "soon"})),
            (LifecycleState::Active, None, None, 2)
        );
        assert_eq!(
            LifecycleState::NAMES.iter().filter(|status| LifecycleState::parse(status).is_none()).count(),
            0
        );
    }
}

//! How entitlements of an account are named, and what a name means.

use leasehold_model::id::EntitlementName;

/// The inline policy that stops a user: it denies everything.
pub(super) const DISABLED: &str = "LeaseholdDisabled";
/// The inline policy that ends a user's sessions: it denies everything to those that began before an instant.
pub(super) const SESSIONS_ENDED: &str = "LeaseholdSessionsEnded";

/// What an entitlement's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// `group/NAME`.
    Group(String),
    /// `policy/NAME`, or `aws-policy/NAME` where AWS itself keeps it.
    Managed {
        name: String,
        /// AWS itself keeps it.
        is_aws: bool,
    },
    /// `inline-policy/user/NAME/POLICY`.
    OfUser { user: String, policy: String },
    /// `inline-policy/group/NAME/POLICY`.
    OfGroup { group: String, policy: String },
    /// `inline-policy/role/NAME/POLICY`.
    OfRole { role: String, policy: String },
    /// `role/NAME`: it can be assumed.
    Role(String),
    /// `instance-profile/NAME`: no user holds it.
    InstanceProfile,
}

impl Held {
    /// Reads a name, or says why it means nothing here.
    pub fn parse(entitlement: &EntitlementName) -> Result<Self, String> {
        let (kind, name) = (entitlement.kind.as_str(), entitlement.name.as_str());
        let owned = || name.to_owned();
        let held = match kind {
            "group" => Self::Group(owned()),
            "policy" => Self::Managed { name: owned(), is_aws: false },
            "aws-policy" => Self::Managed { name: owned(), is_aws: true },
            "role" => Self::Role(owned()),
            "instance-profile" => Self::InstanceProfile,
            "inline-policy" => {
                // No name of IAM holds a slash.
                let parts: Vec<&str> = name.split('/').collect();
                match parts.as_slice() {
                    ["user", user, policy] => {
                        Self::OfUser { user: (*user).to_owned(), policy: (*policy).to_owned() }
                    }
                    ["group", group, policy] => {
                        Self::OfGroup { group: (*group).to_owned(), policy: (*policy).to_owned() }
                    }
                    ["role", role, policy] => {
                        Self::OfRole { role: (*role).to_owned(), policy: (*policy).to_owned() }
                    }
                    _ => {
                        return Err(format!(
                            "`{entitlement}` is no inline policy; write `inline-policy/user/USER/POLICY`, or `group` or `role` \
                             in place of `user`"
                        ));
                    }
                }
            }
            _ => {
                return Err(format!(
                    "`{kind}` is not a kind of entitlement here; known are group, policy, aws-policy, inline-policy, role, \
                     instance-profile"
                ));
            }
        };
        Ok(held)
    }
}

/// The name of a managed policy, which its ARN ends with after the path.
pub(super) fn managed(arn: &str) -> EntitlementName {
    let name = arn.rsplit('/').next().unwrap_or_default();
    EntitlementName::new(if is_of_aws(arn) { "aws-policy" } else { "policy" }, name)
}

/// The name of an inline policy of a `user`, `group` or `role`.
pub(super) fn inline(of: &str, name: &str, policy: &str) -> EntitlementName {
    EntitlementName::new("inline-policy", format!("{of}/{name}/{policy}"))
}

/// AWS itself keeps the policy: its ARN names no account.
pub(super) fn is_of_aws(arn: &str) -> bool {
    arn.split(':').nth(4) == Some("aws")
}

/// Whether IAM could know something by this name at all; what it could not know it answers with another error.
pub(super) fn is_possible(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    (1..=128).contains(&name.len()) && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (name, expected) in [
            (
                managed("arn:aws:iam::123456789012:policy/team/Deploy"),
                Held::Managed { name: "Deploy".to_owned(), is_aws: false },
            ),
            (
                managed("arn:aws-us-gov:iam::aws:policy/ReadOnlyAccess"),
                Held::Managed { name: "ReadOnlyAccess".to_owned(), is_aws: true },
            ),
            (
                inline("group", "eng", "logs"),
                Held::OfGroup { group: "eng".to_owned(), policy: "logs".to_owned() },
            ),
        ] {
            assert_eq!(Held::parse(&name), Ok(expected));
        }
        for name in ["inline-policy/eng/logs", "table/x", "inline-policy/user/a/b/c"] {
            assert!(Held::parse(&name.parse().unwrap()).is_err(), "{name}");
        }
    }
}

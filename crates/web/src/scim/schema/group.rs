//! Groups (RFC 7643, section 4.2).

use super::attribute::Attribute as A;
use super::{ResourceType, Schema};

const MEMBERS: &[A] = &[
    A::text("value", "The member's id.").required().case_exact().immutable(),
    A::reference("$ref", &["User", "Group"], "Where the member is.").immutable(),
    A::text("display", "The member's name.").immutable(),
    A::text("type", "What the member is.").one_of(&["User", "Group"]).immutable(),
];

/// The schema.
pub(crate) static SCHEMA: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:Group",
    name: "Group",
    description: "A group of users and of other groups.",
    attributes: &[
        A::text("displayName", "What the group is called.").required(),
        A::complex("members", MEMBERS, "Who is in the group.").many(),
    ],
};

/// The resource type.
pub(crate) static GROUP: ResourceType = ResourceType {
    name: "Group",
    endpoint: "Groups",
    description: "Groups of users",
    schema: &SCHEMA,
    extensions: &[],
    name_attribute: "displayName",
    is_name_unique: false,
    has_members: true,
    member_of: None,
};

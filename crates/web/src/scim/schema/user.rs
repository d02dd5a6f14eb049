//! Users: the core schema and the enterprise extension (RFC 7643, sections 4.1 and 4.3), and one of our own for the days between
//! which somebody is here.

use leasehold_model::identity::{LifecycleState, SCIM_LIFECYCLE_EXTENSION};

use super::attribute::Attribute as A;
use super::{Extension, ResourceType, Schema};

const DISPLAY: A = A::text("display", "As it is shown to people.");
const PRIMARY: A = A::boolean("primary", "Whether it is the preferred one; at most one is.");

/// What every list of values has: the value, how it is shown, what it is for.
macro_rules! listed {
    ($value:expr, $types:expr) => {
        &[$value, DISPLAY, A::text("type", "What it is for.").one_of($types), PRIMARY]
    };
}

const NAME: &[A] = &[
    A::text("formatted", "The full name."),
    A::text("familyName", "The family name."),
    A::text("givenName", "The given name."),
    A::text("middleName", "Middle names."),
    A::text("honorificPrefix", "Titles before the name."),
    A::text("honorificSuffix", "What stands after the name."),
];

/// Whoever changes this changes the group.
const GROUP: &[A] = &[
    A::text("value", "The group's id.").case_exact().read_only(),
    A::reference("$ref", &["Group"], "Where the group is.").read_only(),
    A::text("display", "What the group is called.").read_only(),
    A::text("type", "How the user is in the group.").one_of(&["direct"]).read_only(),
];

const ADDRESS: &[A] = &[
    A::text("formatted", "The whole address."),
    A::text("streetAddress", "Street and number."),
    A::text("locality", "City."),
    A::text("region", "State or region."),
    A::text("postalCode", "Postal code."),
    A::text("country", "Country, by ISO 3166-1."),
    A::text("type", "What it is for.").one_of(&["work", "home", "other"]),
    PRIMARY,
];

/// The core schema.
pub(crate) static SCHEMA: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:User",
    name: "User",
    description: "A person or a non-human identity.",
    attributes: &[
        A::text("userName", "What the user is called where they sign in; no two users have the same.")
            .required()
            .unique(),
        A::complex("name", NAME, "The parts of the name."),
        A::text("displayName", "The name as it is shown."),
        A::text("nickName", "What the user is called among colleagues."),
        A::reference("profileUrl", &["external"], "A page about the user."),
        A::text("title", "The title of the position."),
        A::text("userType", "How the user stands to the organisation: employee, contractor, …"),
        A::text("preferredLanguage", "Preferred languages, by RFC 9110."),
        A::text("locale", "Where dates, numbers and money are written like this."),
        A::text("timezone", "The time zone, by its name in the IANA database."),
        A::boolean("active", "Whether the user may hold access; false makes them a leaver."),
        A::complex(
            "emails",
            listed!(A::text("value", "The address."), &["work", "home", "other"]),
            "Mail addresses.",
        )
        .many(),
        A::complex(
            "phoneNumbers",
            listed!(A::text("value", "The number."), &["work", "home", "mobile", "fax", "pager", "other"]),
            "Telephone numbers.",
        )
        .many(),
        A::complex("ims", listed!(A::text("value", "The address."), &[]), "Addresses of messengers.").many(),
        A::complex(
            "photos",
            listed!(A::reference("value", &["external"], "Where it is."), &["photo", "thumbnail"]),
            "Pictures.",
        )
        .many(),
        A::complex("addresses", ADDRESS, "Postal addresses.").many(),
        A::complex(
            "groups",
            GROUP,
            "The groups that the user is a member of, without those that these are in.",
        )
        .many()
        .read_only(),
        A::complex(
            "entitlements",
            listed!(A::text("value", "What it is."), &[]),
            "What the user is entitled to.",
        )
        .many(),
        A::complex("roles", listed!(A::text("value", "What it is."), &[]), "What the user is.").many(),
        A::complex(
            "x509Certificates",
            listed!(A::binary("value", "The certificate, DER in base64."), &[]),
            "Certificates.",
        )
        .many(),
    ],
};

const MANAGER: &[A] = &[
    A::text("value", "The manager's id.").case_exact(),
    A::reference("$ref", &["User"], "Where the manager is.").read_only(),
    A::text("displayName", "The manager's name."),
];

/// The enterprise extension.
pub(crate) static ENTERPRISE: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    name: "EnterpriseUser",
    description: "What an organisation says of a user.",
    attributes: &[
        A::text("employeeNumber", "The number by which the organisation knows the user."),
        A::text("costCenter", "The cost centre."),
        A::text("organization", "The organisation."),
        A::text("division", "The division."),
        A::text("department", "The department."),
        A::complex("manager", MANAGER, "Whom the user reports to."),
    ],
};

/// Our own extension: what neither the core schema nor the enterprise extension has a place for.
pub(crate) static LIFECYCLE: Schema = Schema {
    id: SCIM_LIFECYCLE_EXTENSION,
    name: "LifecycleUser",
    description: "Where a user stands between the first day and the last.",
    attributes: &[
        A::text("status", "Where the user stands, unless `active` is false: then they have left.")
            .one_of(LifecycleState::NAMES),
        A::day("startDate", "From when on the user may hold access: a day, or an instant with its offset."),
        A::day(
            "endDate",
            "The last day of the user's access, in their time zone, or the instant at which it ends.",
        ),
    ],
};

/// The resource type.
pub(crate) static USER: ResourceType = ResourceType {
    name: "User",
    endpoint: "Users",
    description: "Identities that access is for",
    schema: &SCHEMA,
    extensions: &[
        Extension { schema: &ENTERPRISE, is_required: false },
        Extension { schema: &LIFECYCLE, is_required: false },
    ],
    name_attribute: "userName",
    is_name_unique: true,
    has_members: false,
    member_of: Some("Group"),
};

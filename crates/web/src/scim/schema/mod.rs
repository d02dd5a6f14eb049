//! The resource types as data: a further one is a file here and a line in [`RESOURCE_TYPES`].

pub(crate) mod attribute;
mod group;
mod user;

use serde_json::{Value, json};

pub(crate) use attribute::{Attribute, Kind, Returned};

/// Every resource type there is.
pub(crate) static RESOURCE_TYPES: &[&ResourceType] = &[&user::USER, &group::GROUP];

/// The list of members of a resource.
pub(crate) const MEMBERS: &str = "members";
/// What the server knows of a resource, its version among it.
pub(crate) const META: &str = "meta";
/// The list of what a resource is a member of.
pub(crate) const GROUPS: &str = "groups";

/// A schema: attributes under a name of their own.
#[derive(Debug)]
pub(crate) struct Schema {
    pub id: &'static str,
    pub name: &'static str,
    pub description: &'static str,
    pub attributes: &'static [Attribute],
}

/// A schema that adds to that of a resource type.
#[derive(Debug)]
pub(crate) struct Extension {
    pub schema: &'static Schema,
    pub is_required: bool,
}

/// What resources of one sort are like.
#[derive(Debug)]
pub(crate) struct ResourceType {
    pub name: &'static str,
    /// The last part of its address.
    pub endpoint: &'static str,
    pub description: &'static str,
    pub schema: &'static Schema,
    pub extensions: &'static [Extension],
    /// The attribute by which resources are looked for.
    pub name_attribute: &'static str,
    /// Whether no two have the same name.
    pub is_name_unique: bool,
    /// Whether they have members, which are stored one by one.
    pub has_members: bool,
    /// The type of those whose members they are told to be, in [`GROUPS`]; none where that is not told.
    pub member_of: Option<&'static str>,
}

const META_PARTS: &[Attribute] = &[
    Attribute::text("resourceType", "What it is.").case_exact().read_only(),
    Attribute::instant("created", "Since when it is there.").read_only(),
    Attribute::instant("lastModified", "When it was last changed.").read_only(),
    Attribute::reference("location", &["uri"], "Where it is.").read_only(),
    Attribute::text("version", "Its version.").case_exact().read_only(),
];

/// What every resource has (RFC 7643, section 3.1).
pub(crate) static COMMON: &[Attribute] = &[
    Attribute::reference("schemas", &["uri"], "What it is made of.").many().required().always(),
    Attribute::text("id", "Its id, given by the server.").case_exact().read_only().always(),
    Attribute::text("externalId", "Its id where it comes from.").case_exact(),
    Attribute::complex(META, META_PARTS, "What the server knows of it.").read_only(),
];

/// Where in a resource an attribute stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The extension in whose object it stands; none for the resource itself.
    pub extension: Option<&'static Schema>,
    pub attribute: &'static Attribute,
}

impl ResourceType {
    /// The attribute of this name, and where it stands; of the schema of this id, or of the resource where none is named.
    pub fn attribute(&self, schema: Option<&str>, name: &str) -> Option<Place> {
        let extension = match schema {
            Some(id) if !self.schema.id.eq_ignore_ascii_case(id) => Some(self.extension(id)?),
            _ => None,
        };
        let attribute = match extension {
            Some(schema) => attribute::find(schema.attributes, name),
            None => attribute::find(self.schema.attributes, name).or_else(|| attribute::find(COMMON, name)),
        };
        Some(Place { extension, attribute: attribute? })
    }

    /// The extension with this id.
    pub fn extension(&self, id: &str) -> Option<&'static Schema> {
        let schemas = self.extensions.iter().map(|extension| extension.schema);
        schemas.into_iter().find(|schema| schema.id.eq_ignore_ascii_case(id))
    }

    /// Every schema, with where its attributes stand: the core one first.
    pub fn schemas(&self) -> impl Iterator<Item = (Option<&'static Schema>, &'static Schema)> {
        let extensions = self.extensions.iter().map(|extension| (Some(extension.schema), extension.schema));
        std::iter::once((None, self.schema)).chain(extensions)
    }

    /// Splits what may begin with the id of one of its schemas, as `URN:attribute` and `URN` alone do.
    pub fn split_schema<'text>(&self, text: &'text str) -> (Option<&'static str>, &'text str) {
        for (_, schema) in self.schemas() {
            let Some((head, rest)) = text.split_at_checked(schema.id.len()) else { continue };
            if head.eq_ignore_ascii_case(schema.id) {
                match rest.strip_prefix(':') {
                    Some(rest) => return (Some(schema.id), rest),
                    None if rest.is_empty() => return (Some(schema.id), ""),
                    None => {}
                }
            }
        }
        (None, text)
    }

    /// As `/ResourceTypes` describes it.
    pub fn described(&self, base: &str) -> Value {
        let extensions: Vec<Value> = self
            .extensions
            .iter()
            .map(|extension| json!({"schema": extension.schema.id, "required": extension.is_required}))
            .collect();
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": self.name,
            "name": self.name,
            "endpoint": format!("/{}", self.endpoint),
            "description": self.description,
            "schema": self.schema.id,
            "schemaExtensions": extensions,
            "meta": {
                "resourceType": "ResourceType",
                "location": format!("{base}/ResourceTypes/{}", self.name),
            },
        })
    }
}

impl Schema {
    /// As `/Schemas` describes it.
    pub fn described(&self, base: &str) -> Value {
        let attributes: Vec<Value> = self.attributes.iter().map(Attribute::described).collect();
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "attributes": attributes,
            "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{}", self.id)},
        })
    }
}

/// The resource type at an endpoint; addresses are exact.
pub(crate) fn at_endpoint(endpoint: &str) -> Option<&'static ResourceType> {
    RESOURCE_TYPES.iter().copied().find(|known| known.endpoint == endpoint)
}

/// Every schema of every resource type, each once.
pub(crate) fn schemas() -> Vec<&'static Schema> {
    let mut schemas: Vec<&'static Schema> = Vec::new();
    for schema in RESOURCE_TYPES.iter().flat_map(|known| known.schemas().map(|(_, schema)| schema)) {
        if !schemas.iter().any(|known| known.id == schema.id) {
            schemas.push(schema);
        }
    }
    schemas
}

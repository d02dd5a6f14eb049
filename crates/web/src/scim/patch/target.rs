//! Where an operation points.

use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{Filter, Test, path_with_filter};
use crate::scim::schema::{Attribute, Place, ResourceType, Schema};

/// Where an operation points.
pub(super) enum Target {
    /// An attribute, some of its values, a part of them.
    Attribute(AttributeTarget),
    /// All of an extension.
    Extension(&'static Schema),
}

/// An attribute, some of its values, a part of them.
pub(super) struct AttributeTarget {
    pub place: Place,
    pub chosen: Option<Chosen>,
    pub part: Option<&'static Attribute>,
}

/// Which values are meant.
pub(super) struct Chosen {
    pub test: Test,
    /// As it was written, to make a value that fits.
    pub filter: Filter,
}

/// Reads a path.
pub(super) fn read(known: &'static ResourceType, text: &str) -> Result<Target, ScimError> {
    let wrong = |why: String| ScimError::new(ScimType::InvalidPath, why);
    let text = text.trim();
    if let (Some(schema), "") = known.split_schema(text) {
        let extension = known.extension(schema).map(Target::Extension);
        return extension.ok_or_else(|| wrong(format!("`{text}` is the whole resource; name an attribute")));
    }
    let located = path_with_filter(text).map_err(wrong)?;
    let unknown = || {
        wrong(format!(
            "there is no attribute `{}` of a {}; /Schemas lists those that there are",
            located.path, known.name
        ))
    };
    let path = &located.path;
    let place = known.attribute(path.schema.as_deref(), &path.attribute).ok_or_else(unknown)?;
    let part = match &path.part {
        None => None,
        Some(part) => Some(place.attribute.sub_attribute(part).ok_or_else(unknown)?),
    };
    let chosen = match located.filter {
        None => None,
        Some(filter) => {
            if place.attribute.sub_attributes.is_empty() {
                return Err(wrong(format!(
                    "`{}` has no parts that could be asked about in brackets",
                    path.attribute
                )));
            }
            let test = Test::of_values(&filter, place.attribute).map_err(|error| wrong(error.to_string()))?;
            Some(Chosen { test, filter })
        }
    };
    if !place.attribute.is_writable() {
        let why = format!("`{path}` is set by the server alone");
        return Err(ScimError::new(ScimType::Mutability, why));
    }
    Ok(Target::Attribute(AttributeTarget { place, chosen, part }))
}

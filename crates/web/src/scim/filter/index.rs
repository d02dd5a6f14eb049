//! What of a filter an index answers: where one value must be equal, only few resources can fit.

use leasehold_store::ScimSought;

use super::{Comparison, Filter, Literal, Path};
use crate::scim::schema::{GROUPS, MEMBERS, ResourceType};

/// Where those resources are that can fit a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Candidates {
    Sought(ScimSought),
    WithMember(String),
    InGroup(String),
}

/// Where to look for what fits; none where every resource has to be looked at.
pub(crate) fn sought(filter: &Filter, known: &ResourceType) -> Option<Candidates> {
    match filter {
        Filter::And(parts) => parts.iter().find_map(|part| sought(part, known)),
        Filter::Compare(path, Comparison::Equal, Literal::Text(text)) => by_value(path, text, known),
        Filter::Within(path, within) if is(path, MEMBERS, known) && path.part.is_none() => {
            value_of(within).map(Candidates::WithMember)
        }
        Filter::Within(path, within) if is(path, GROUPS, known) && path.part.is_none() => {
            value_of(within).filter(|_| known.member_of.is_some()).map(Candidates::InGroup)
        }
        _ => None,
    }
}

fn by_value(path: &Path, text: &str, known: &ResourceType) -> Option<Candidates> {
    let is_value = path.part.as_deref().is_none_or(|part| part.eq_ignore_ascii_case("value"));
    if is(path, MEMBERS, known) {
        return (known.has_members && is_value).then(|| Candidates::WithMember(text.to_owned()));
    }
    if is(path, GROUPS, known) {
        return (known.member_of.is_some() && is_value).then(|| Candidates::InGroup(text.to_owned()));
    }
    if path.part.is_some() {
        return None;
    }
    let sought = if is(path, known.name_attribute, known) {
        ScimSought::Name(text.to_lowercase())
    } else if is(path, "externalId", known) {
        ScimSought::ExternalId(text.to_owned())
    } else if is(path, "id", known) {
        ScimSought::Id(text.to_owned())
    } else {
        return None;
    };
    Some(Candidates::Sought(sought))
}

fn is(path: &Path, name: &str, known: &ResourceType) -> bool {
    let of_core = path.schema.as_deref().is_none_or(|schema| schema.eq_ignore_ascii_case(known.schema.id));
    of_core && path.attribute.eq_ignore_ascii_case(name)
}

fn value_of(within: &Filter) -> Option<String> {
    match within {
        Filter::And(parts) => parts.iter().find_map(value_of),
        Filter::Compare(path, Comparison::Equal, Literal::Text(text))
            if path.schema.is_none()
                && path.part.is_none()
                && path.attribute.eq_ignore_ascii_case("value") =>
        {
            Some(text.clone())
        }
        _ => None,
    }
}

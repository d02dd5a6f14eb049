//! Parts that pages share: small structures that know how they look. A template names one in braces, and it is written
//! as HTML; every text in it is escaped by its own template.

pub(crate) mod about;
pub(crate) mod because;
pub(crate) mod chart;
pub(crate) mod form;
pub(crate) mod freshness;
pub(crate) mod link;
pub(crate) mod mark;
pub(crate) mod moment;
pub(crate) mod number;
pub(crate) mod pager;
pub(crate) mod prose;
pub(crate) mod query;

pub(crate) use about::About;
pub(crate) use because::BecauseList;

pub(crate) use freshness::Sources;

pub(crate) use link::Link;

pub(crate) use mark::Mark;

pub(crate) use moment::Moment;

pub(crate) use number::{count, number};

pub(crate) use pager::Pager;
pub(crate) use prose::Prose;

pub(crate) use query::Query;

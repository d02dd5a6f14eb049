//! Parts that pages share: small structures that know how they look. A template names one in braces, and it is written
//! as HTML; every text in it is escaped by its own template.

pub(crate) mod because;
pub(crate) mod form;
pub(crate) mod freshness;
pub(crate) mod link;
pub(crate) mod mark;
pub(crate) mod moment;
pub(crate) mod number;
pub(crate) mod pager;
pub(crate) mod query;

#[allow(unused_imports)]
pub(crate) use because::BecauseList;
#[allow(unused_imports)]
pub(crate) use freshness::Sources;
#[allow(unused_imports)]
pub(crate) use link::Link;
#[allow(unused_imports)]
pub(crate) use mark::Mark;
#[allow(unused_imports)]
pub(crate) use moment::Moment;
#[allow(unused_imports)]
pub(crate) use number::{count, number};
#[allow(unused_imports)]
pub(crate) use pager::Pager;
#[allow(unused_imports)]
pub(crate) use query::Query;

//! Pages of a list: which part is shown, of how much, and where the rest is.

use std::ops::Range;

use askama::Template;
use askama::filters::HtmlSafe;

use super::number::number;
use super::query::Query;

/// Rows of one page.
pub(crate) const PAGE_ROWS: usize = 50;

/// Where a list is, of how much.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/pager.html")]
pub(crate) struct Pager {
    /// `Showing 51-100 of 1,234`.
    pub words: String,
    /// The page before.
    pub previous: Option<String>,
    /// The page after.
    pub next: Option<String>,
    /// Of what, for whoever hears the page: two lists of one page are told apart by it.
    pub of: &'static str,
    start: usize,
    end: usize,
}

impl HtmlSafe for Pager {}

impl Pager {
    /// The page of this number, counted from one, of a list of so many rows. A page beyond the last one is the last.
    pub(crate) fn new(page: usize, total: usize, query: &Query) -> Self {
        let pages = total.div_ceil(PAGE_ROWS).max(1);
        let page = page.clamp(1, pages);
        let (start, end) = ((page - 1) * PAGE_ROWS, (page * PAGE_ROWS).min(total));
        let at = |page: usize| {
            let number = if page == 1 { String::new() } else { page.to_string() };
            query.clone().with("page", number).to_string()
        };
        let words = if total == 0 {
            "Nothing to show".to_owned()
        } else {
            format!("Showing {}–{} of {}", number(start as u64 + 1), number(end as u64), number(total as u64))
        };
        Self {
            words,
            previous: (page > 1).then(|| at(page - 1)),
            next: (page < pages).then(|| at(page + 1)),
            of: "this list",
            start,
            end,
        }
    }

    /// The same, named, on a page with several lists.
    pub(crate) fn of(mut self, list: &'static str) -> Self {
        self.of = list;
        self
    }

    /// The rows of this page.
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

#[cfg(test)]
mod tests {
    use super::{Pager, Query};

    #[test]
    fn every_row_is_on_one_page() {
        let query = Query::new("/drift").with("kind", "leaver");
        for total in [0, 1, 49, 50, 51, 100, 1_234] {
            let mut seen = 0;
            for page in 1.. {
                let pager = Pager::new(page, total, &query);
                assert_eq!(pager.range().start, seen, "{total}, page {page}");
                seen = pager.range().end;
                assert_eq!(pager.previous.is_some(), page > 1);
                if pager.next.is_none() {
                    break;
                }
            }
            assert_eq!(seen, total);
        }
        let pager = Pager::new(2, 1_234, &query);
        assert_eq!(pager.words, "Showing 51–100 of 1,234");
        assert_eq!(pager.previous.as_deref(), Some("/drift?kind=leaver"));
        assert_eq!(pager.next.as_deref(), Some("/drift?kind=leaver&page=3"));
        assert_eq!(Pager::new(usize::MAX, 60, &query).range(), 50..60, "beyond the last page is the last");
        assert_eq!(Pager::new(0, 60, &query).range(), 0..50);
    }
}

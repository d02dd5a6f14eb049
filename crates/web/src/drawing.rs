//! Paths of access, drawn: a layered graph in SVG, made by the server, with the same in words beside it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use askama::Template;
use askama::filters::HtmlSafe;
use leasehold_model::text::safe;

/// Beyond this many boxes nobody sees anything any more.
const BOXES_MAX: usize = 60;
/// Longer names are cut in the box; the whole name is its title and stands in the words.
const LABEL_CHARS_MAX: usize = 22;
const BOX_WIDTH: usize = 200;
const BOX_HEIGHT: usize = 34;
const COLUMN_WIDTH: usize = 244;
const ROW_HEIGHT: usize = 46;
const MARGIN: usize = 8;

/// What a box stands for; it decides how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum StepKind {
    /// What it is all about: whose access it is, or the entitlement itself.
    Identity,
    /// By which account.
    Account,
    /// An entitlement with a reason.
    Justified,
    /// An entitlement without one.
    Unjustified,
    /// An entitlement of which nobody can say.
    Undecided,
}

impl StepKind {
    fn class(self) -> &'static str {
        match self {
            Self::Identity => "who",
            Self::Account => "account",
            Self::Justified => "good",
            Self::Unjustified => "bad",
            Self::Undecided => "warning",
        }
    }
}

/// One step of a path. Two with the same key are the same box.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// What makes it the same.
    pub key: String,
    /// What it is called.
    pub label: String,
    /// What it stands for.
    pub kind: StepKind,
}

struct Placed {
    x: usize,
    y: usize,
    text_x: usize,
    text_y: usize,
    label: String,
    title: String,
    class: &'static str,
}

struct Line {
    curve: String,
}

/// A graph that is drawn.
#[derive(Template)]
#[template(path = "parts/drawing.html")]
pub(crate) struct Drawing {
    id: &'static str,
    title: String,
    width: usize,
    height: usize,
    box_width: usize,
    box_height: usize,
    boxes: Vec<Placed>,
    lines: Vec<Line>,
    words: Vec<String>,
}

impl HtmlSafe for Drawing {}

impl Drawing {
    /// Draws paths; `None` where there are none, or too many to see anything. `id` is unique in the page.
    pub(crate) fn of(id: &'static str, title: String, paths: &[Vec<Step>]) -> Option<Self> {
        Self::aligned(id, title, paths, 0)
    }

    /// The same with the box that it is all about in this column, counted from 0.
    pub(crate) fn aligned(
        id: &'static str,
        title: String,
        paths: &[Vec<Step>],
        column: usize,
    ) -> Option<Self> {
        let mut steps: BTreeMap<&str, &Step> = BTreeMap::new();
        let mut layers: HashMap<&str, usize> = HashMap::new();
        let mut edges: BTreeSet<(&str, &str)> = BTreeSet::new();
        for path in paths {
            let middle = path.iter().position(|step| step.kind == StepKind::Identity).unwrap_or(column);
            for (position, step) in path.iter().enumerate() {
                steps.insert(&step.key, step);
                let layer = layers.entry(&step.key).or_default();
                *layer = (*layer).max((position + column).saturating_sub(middle));
            }
            edges.extend(path.windows(2).map(|pair| (pair[0].key.as_str(), pair[1].key.as_str())));
        }
        if steps.is_empty() || steps.len() > BOXES_MAX {
            return None;
        }
        let columns = columns(&steps, &layers, &edges);
        let tallest = columns.iter().map(Vec::len).max().unwrap_or(1);
        let mut places: HashMap<&str, (usize, usize)> = HashMap::new();
        for (column, keys) in columns.iter().enumerate() {
            // Short columns stand in the middle of the tallest one.
            let shift = (tallest - keys.len()) * ROW_HEIGHT / 2;
            for (row, key) in keys.iter().enumerate() {
                places.insert(key, (MARGIN + column * COLUMN_WIDTH, MARGIN + shift + row * ROW_HEIGHT));
            }
        }
        let boxes = columns.iter().flatten().map(|key| placed(steps[key], places[key])).collect();
        let lines = edges.iter().map(|(from, to)| line(places[from], places[to])).collect();
        let words = paths
            .iter()
            .map(|path| path.iter().map(|step| safe(&step.label)).collect::<Vec<_>>().join(" → "));
        Some(Self {
            id,
            title,
            width: MARGIN * 2 + (columns.len() - 1) * COLUMN_WIDTH + BOX_WIDTH,
            height: MARGIN * 2 + (tallest - 1) * ROW_HEIGHT + BOX_HEIGHT,
            box_width: BOX_WIDTH,
            box_height: BOX_HEIGHT,
            boxes,
            lines,
            words: words.collect(),
        })
    }
}

/// The boxes of each column, top to bottom: each as near as can be to what leads to it.
fn columns<'key>(
    steps: &BTreeMap<&'key str, &Step>,
    layers: &HashMap<&'key str, usize>,
    edges: &BTreeSet<(&'key str, &'key str)>,
) -> Vec<Vec<&'key str>> {
    let count = layers.values().max().map_or(0, |last| last + 1);
    let mut columns: Vec<Vec<&str>> = vec![Vec::new(); count];
    for key in steps.keys() {
        columns[layers[key]].push(key);
    }
    let mut rows: HashMap<&str, usize> = HashMap::new();
    for column in &mut columns {
        let middle = |key: &str| {
            let above = edges.iter().filter(|(_, to)| *to == key).filter_map(|(from, _)| rows.get(from));
            let (sum, number) = above.fold((0, 0), |(sum, number), row| (sum + row, number + 1));
            (sum * 1_000).checked_div(number).unwrap_or(0)
        };
        let mut placed: Vec<(usize, &str)> = column.iter().map(|key| (middle(key), *key)).collect();
        placed.sort();
        *column = placed.into_iter().map(|(_, key)| key).collect();
        rows.extend(column.iter().enumerate().map(|(row, key)| (*key, row)));
    }
    columns.retain(|column| !column.is_empty());
    columns
}

fn placed(step: &Step, (x, y): (usize, usize)) -> Placed {
    let title = safe(&step.label);
    let label = match title.char_indices().nth(LABEL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &title[..end]),
        None => title.clone(),
    };
    Placed { x, y, text_x: x + 10, text_y: y + BOX_HEIGHT / 2 + 5, label, title, class: step.kind.class() }
}

fn line((from_x, from_y): (usize, usize), (to_x, to_y): (usize, usize)) -> Line {
    let (start_x, start_y) = (from_x + BOX_WIDTH, from_y + BOX_HEIGHT / 2);
    let (end_x, end_y) = (to_x, to_y + BOX_HEIGHT / 2);
    let bend = (COLUMN_WIDTH - BOX_WIDTH) / 2;
    let curve = format!(
        "M{start_x} {start_y} C{} {start_y} {} {end_y} {end_x} {end_y}",
        start_x + bend,
        end_x.saturating_sub(bend)
    );
    Line { curve }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(keys: &[&str]) -> Vec<Step> {
        let step =
            |key: &&str| Step { key: (*key).to_owned(), label: (*key).to_owned(), kind: StepKind::Justified };
        keys.iter().map(step).collect()
    }

    #[test]
    fn boxes_stand_once_each_and_apart() {
        let paths = [
            path(&["ada", "ada.login", "staff"]),
            path(&["ada", "ada.login", "eng", "staff"]),
            path(&["ada", "root", "eng", "staff"]),
        ];
        let drawing = Drawing::of("paths", "Paths".to_owned(), &paths).expect("a drawing");
        assert_eq!((drawing.boxes.len(), drawing.lines.len()), (5, 6));
        let mut places: Vec<_> = drawing.boxes.iter().map(|placed| (placed.x, placed.y)).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 5, "no two boxes in one place");
        assert!(drawing.boxes.iter().all(|placed| placed.x + BOX_WIDTH <= drawing.width));
        assert!(drawing.boxes.iter().all(|placed| placed.y + BOX_HEIGHT <= drawing.height));
        assert_eq!(drawing.words[1], "ada → ada.login → eng → staff");
    }

    #[test]
    fn circles_end_and_crowds_are_not_drawn() {
        let circle = [path(&["a", "b", "c"]), path(&["a", "c", "b"])];
        assert_eq!(Drawing::of("paths", String::new(), &circle).expect("a drawing").boxes.len(), 3);
        let names: Vec<String> = (0..=BOXES_MAX).map(|number| number.to_string()).collect();
        let crowd: Vec<Vec<Step>> = names.iter().map(|name| path(&[name])).collect();
        assert!(Drawing::of("paths", String::new(), &crowd).is_none());
        assert!(Drawing::of("paths", String::new(), &[]).is_none());
    }

    #[test]
    fn names_of_targets_are_escaped() {
        let drawing =
            Drawing::of("paths", String::new(), &[path(&["<script>", "a\u{202e}b"])]).expect("a drawing");
        let html = drawing.render().expect("renders");
        assert!(!html.contains("<script>") && html.contains("&#60;script&#62;"), "{html}");
        assert!(html.contains("a\\u{202e}b"), "{html}");
    }
}

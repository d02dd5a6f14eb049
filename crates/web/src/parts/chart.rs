//! Charts, drawn by the server as SVG: no script and no style of their own. Beside each stands a table that says the same.

use askama::Template;
use askama::filters::HtmlSafe;
use jiff::Timestamp;

use super::number::number;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 48.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 8.0;

/// A value that held from an instant on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// From when.
    pub at: Timestamp,
    /// What it was.
    pub value: u64,
}

/// A line that steps from value to value.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "parts/steps.html")]
pub(crate) struct Steps {
    /// What the chart shows, in one sentence, for whoever does not see it.
    pub description: String,
    path: String,
    area: String,
    ticks: Vec<Tick>,
    from: String,
    to: String,
}

impl HtmlSafe for Steps {}

#[derive(Debug, Clone, PartialEq)]
struct Tick {
    y: String,
    label: String,
}

impl Steps {
    /// The course of a value until `to`; `None` where there is nothing to draw.
    pub(crate) fn new(points: &[Point], to: Timestamp, description: String) -> Option<Self> {
        let first = points.first()?;
        let begin = first.at.as_second() as f64;
        let length = (to.as_second() as f64 - begin).max(1.0);
        let highest = round_up(points.iter().map(|point| point.value).max().unwrap_or(0));
        let x = |at: f64| LEFT + (at - begin) / length * (WIDTH - LEFT);
        let y = |value: u64| HEIGHT - BOTTOM - value as f64 / highest as f64 * (HEIGHT - BOTTOM - TOP);
        let mut path = format!("M{:.1} {:.1}", x(begin), y(first.value));
        for point in &points[1..] {
            path.push_str(&format!("H{:.1}V{:.1}", x(point.at.as_second() as f64), y(point.value)));
        }
        path.push_str(&format!("H{WIDTH:.1}"));
        let ground = HEIGHT - BOTTOM;
        let tick = |value: u64| Tick { y: format!("{:.1}", y(value)), label: number(value) };
        let mut ticks = vec![tick(0), tick(highest)];
        if highest.is_multiple_of(2) {
            ticks.insert(1, tick(highest / 2));
        }
        Some(Self {
            description,
            area: format!("{path}V{ground:.1}H{LEFT:.1}Z"),
            path,
            ticks,
            from: first.at.strftime("%Y-%m-%d %H:%M").to_string(),
            to: to.strftime("%Y-%m-%d %H:%M").to_string(),
        })
    }
}

/// The next number that reads well on an axis.
fn round_up(value: u64) -> u64 {
    let mut step = 1u64;
    loop {
        for factor in [2, 4, 10] {
            if value <= step.saturating_mul(factor) {
                return step.saturating_mul(factor);
            }
        }
        step = step.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::{Point, Steps, round_up};

    #[test]
    fn axes_end_at_numbers_that_read_well() {
        for (value, end) in [(0, 2), (1, 2), (3, 4), (5, 10), (11, 20), (401, 1_000), (u64::MAX, u64::MAX)] {
            assert_eq!(round_up(value), end, "{value}");
        }
    }

    #[test]
    fn a_course_steps_at_its_instants() {
        let at = |hour: i64| jiff::Timestamp::from_second(hour * 3_600).expect("an instant");
        let points = [Point { at: at(0), value: 4 }, Point { at: at(12), value: 0 }];
        let steps = Steps::new(&points, at(24), "drift".to_owned()).expect("drawn");
        assert_eq!(steps.path, "M48.0 8.0H384.0V156.0H720.0");
        assert!(Steps::new(&[], at(1), String::new()).is_none());
    }
}

//! Dates and times as exports spell them. What could mean two days is a problem, never a guess.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::error::ConnectError;
use crate::settings::Settings;

/// Which number of `03/04/2026` is the month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOrder {
    /// `04/03/2026` is 3 April.
    MonthFirst,
    /// `04/03/2026` is 4 March.
    DayFirst,
}

impl DateOrder {
    /// Reads the setting.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "mdy" => Some(Self::MonthFirst),
            "dmy" => Some(Self::DayFirst),
            _ => None,
        }
    }
}

/// What a date without a time stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// The first instant of the day.
    Start,
    /// The end of the day: the first instant of the next one, since an end is exclusive.
    End,
}

/// How to read dates.
#[derive(Debug, Clone)]
pub struct Dates {
    /// Where a day begins and a time without an offset stands.
    pub timezone: TimeZone,
    /// For dates with slashes.
    pub order: Option<DateOrder>,
}

impl Dates {
    /// Reads `timezone` and `date_order`, each from `otherwise` where it is absent.
    ///
    /// # Errors
    /// Where a value is not one of those that are known.
    pub fn from_settings(settings: &mut Settings, otherwise: Option<&Self>) -> Result<Self, ConnectError> {
        let timezone = match settings.optional_string("timezone")? {
            None => otherwise.map_or(TimeZone::UTC, |dates| dates.timezone.clone()),
            Some(name) => TimeZone::get(&name).map_err(|_| {
                settings
                    .error("timezone", format!("`{name}` is not known; write for example `Europe/Berlin`"))
            })?,
        };
        let order = match settings.optional_string("date_order")? {
            None => otherwise.and_then(|dates| dates.order),
            Some(text) => Some(
                DateOrder::parse(&text)
                    .ok_or_else(|| settings.error("date_order", "write `dmy` or `mdy`"))?,
            ),
        };
        Ok(Self { timezone, order })
    }

    /// Reads a date or time. `Ok(None)` for an empty text and for the year 9999, by which exports mean "no end"; its last
    /// day would also be beyond the last instant that can be kept.
    ///
    /// # Errors
    /// What is wrong and how to mend it.
    pub fn read(&self, text: &str, edge: Edge) -> Result<Option<Timestamp>, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if text.starts_with("9999-")
            && self.day(text.split(['T', 't', ' ']).next().unwrap_or_default()).is_ok()
        {
            return Ok(None);
        }
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Ok(Some(instant));
        }
        let (day, time) = match text.split_once([' ', 'T']) {
            Some((day, time)) => (day, Some(time.trim())),
            None => (text, None),
        };
        let date = self.day(day)?;
        if date.year() == 9999 {
            return Ok(None);
        }
        let (date, time) = match (time, edge) {
            (Some(time), _) => (date, clock(time).ok_or_else(|| unknown(text))?),
            (None, Edge::Start) => (date, Time::midnight()),
            (None, Edge::End) => (date.tomorrow().map_err(|error| error.to_string())?, Time::midnight()),
        };
        let zoned = self.timezone.to_zoned(DateTime::from_parts(date, time));
        zoned.map(|zoned| Some(zoned.timestamp())).map_err(|error| error.to_string())
    }

    fn day(&self, text: &str) -> Result<Date, String> {
        let number = |text: &str, digits: std::ops::RangeInclusive<usize>| -> Option<i16> {
            let plain = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse().ok()).flatten()
        };
        let build = |year: i16, month: i16, day: i16| {
            let (month, day) = (i8::try_from(month).unwrap_or(0), i8::try_from(day).unwrap_or(0));
            Date::new(year, month, day).map_err(|_| format!("`{text}` is not a day of the calendar"))
        };
        if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let part = |range: std::ops::Range<usize>| number(&text[range], 2..=4).unwrap_or(0);
            return build(part(0..4), part(4..6), part(6..8));
        }
        let Some(separator) = text.chars().find(|c| !c.is_ascii_digit()) else { return Err(unknown(text)) };
        let parts: Vec<&str> = text.split(separator).collect();
        let [first, second, third] = parts[..] else { return Err(unknown(text)) };
        match separator {
            '-' | '/' if first.len() == 4 => {
                match (number(first, 4..=4), number(second, 1..=2), number(third, 1..=2)) {
                    (Some(year), Some(month), Some(day)) => build(year, month, day),
                    _ => Err(unknown(text)),
                }
            }
            '.' | '/' => match (number(first, 1..=2), number(second, 1..=2), number(third, 4..=4)) {
                (Some(day), Some(month), Some(year)) if separator == '.' => build(year, month, day),
                (Some(first), Some(second), Some(year)) => match self.order {
                    Some(DateOrder::DayFirst) => build(year, second, first),
                    Some(DateOrder::MonthFirst) => build(year, first, second),
                    None if first > 12 || first == second => build(year, second, first),
                    None if second > 12 => build(year, first, second),
                    None => Err(format!(
                        "`{text}` could mean two days; set `date_order = \"dmy\"` or `date_order = \"mdy\"`"
                    )),
                },
                _ => Err(unknown(text)),
            },
            _ => Err(unknown(text)),
        }
    }
}

/// Reads `HH:MM[:SS[.fraction]]`.
fn clock(text: &str) -> Option<Time> {
    let shape =
        text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    shape.then(|| text.parse().ok()).flatten()
}

fn unknown(text: &str) -> String {
    format!("`{text}` is not a date; write it as 2026-01-31, 2026-01-31 17:00 or 2026-01-31T17:00:00Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, edge: Edge, order: Option<DateOrder>, zone: &str) -> Result<Option<String>, String> {
        let dates = Dates { timezone: TimeZone::get(zone).unwrap(), order };
        dates.read(text, edge).map(|instant| instant.map(|instant| instant.to_string()))
    }

    #[test]
    fn common_forms_are_read() {
        let utc = |text, edge| read(text, edge, None, "UTC").unwrap().unwrap();
        for (text, start) in [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026/1/31", "2026-01-31T00:00:00Z"),
            (" 31.01.2026 ", "2026-01-31T00:00:00Z"),
            ("1.2.2026", "2026-02-01T00:00:00Z"),
            ("20260131", "2026-01-31T00:00:00Z"),
            ("2026-01-31 17:05", "2026-01-31T17:05:00Z"),
            ("2026-01-31 17:05:09", "2026-01-31T17:05:09Z"),
            ("31.01.2026 17:05", "2026-01-31T17:05:00Z"),
            ("2026-01-31T17:05:09.5", "2026-01-31T17:05:09.5Z"),
            ("2026-01-31T17:05:09+02:00", "2026-01-31T15:05:09Z"),
            ("13/02/2026", "2026-02-13T00:00:00Z"),
            ("02/13/2026", "2026-02-13T00:00:00Z"),
            ("05/05/2026", "2026-05-05T00:00:00Z"),
        ] {
            assert_eq!(utc(text, Edge::Start), start, "{text}");
        }
        assert_eq!(utc("2026-01-31", Edge::End), "2026-02-01T00:00:00Z");
        assert_eq!(utc("2026-01-31 17:05", Edge::End), "2026-01-31T17:05:00Z");
        for text in [
            "",
            "9999-12-31",
            "31.12.9999",
            "12/31/9999",
            "99991231",
            "9999-12-31 23:59:59",
            "9999-12-31T00:00:00",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.9999999Z",
            "9999-12-31t00:00:00+01:00",
            "9999-01-01T00:00:00Z",
        ] {
            assert_eq!(read(text, Edge::End, None, "UTC"), Ok(None), "{text}");
        }
    }

    #[test]
    fn a_day_is_the_day_of_the_time_zone() {
        let berlin = |text, edge| read(text, edge, None, "Europe/Berlin").unwrap().unwrap();
        assert_eq!(berlin("2026-07-31", Edge::Start), "2026-07-30T22:00:00Z");
        assert_eq!(berlin("2026-01-31", Edge::End), "2026-01-31T23:00:00Z");
    }

    #[test]
    fn slashes_are_read_by_the_setting_and_never_guessed() {
        use DateOrder::{DayFirst, MonthFirst};
        let ordered = |order| read("03/04/2026", Edge::Start, order, "UTC");
        assert_eq!(ordered(Some(DayFirst)).unwrap().unwrap(), "2026-04-03T00:00:00Z");
        assert_eq!(ordered(Some(MonthFirst)).unwrap().unwrap(), "2026-03-04T00:00:00Z");
        assert!(ordered(None).unwrap_err().contains("date_order"));
        assert!(read("13/04/2026", Edge::Start, Some(MonthFirst), "UTC").is_err());
    }

    #[test]
    fn nonsense_is_a_problem() {
        for text in [
            "soon",
            "2026",
            "2026-13-01",
            "31.02.2026",
            "0000-00-00",
            "2026-01-31 late",
            "46053",
            "1/2/26",
            "äöüß1234",
        ] {
            assert!(read(text, Edge::Start, None, "UTC").is_err(), "{text}");
        }
    }
}

//! Days of the calendar.

use std::fmt;
use std::str::FromStr;

/// A day, written `2026-09-08`. It is one that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompatibilityDate {
    year: u16,
    month: u8,
    day: u8,
}

/// The text is no day of the calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a date: `{0}`")]
pub struct InvalidDate(String);

impl CompatibilityDate {
    /// For the tables of this crate.
    pub(crate) const fn literal(year: u16, month: u8, day: u8) -> Self {
        Self { year, month, day }
    }
}

impl FromStr for CompatibilityDate {
    type Err = InvalidDate;

    fn from_str(text: &str) -> Result<Self, InvalidDate> {
        let number = |range: std::ops::Range<usize>| -> Option<u16> {
            let digits = text.get(range)?;
            if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
        };
        let parse = || {
            if text.len() != 10 || text.get(4..5) != Some("-") || text.get(7..8) != Some("-") {
                return None;
            }
            let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
            (1..=days_in(year, month)?).contains(&day).then_some(Self {
                year,
                month: u8::try_from(month).ok()?,
                day: u8::try_from(day).ok()?,
            })
        };
        parse().ok_or_else(|| InvalidDate(text.to_owned()))
    }
}

fn days_in(year: u16, month: u16) -> Option<u16> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

impl fmt::Display for CompatibilityDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day } = self;
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::CompatibilityDate;

    #[test]
    fn only_days_of_the_calendar_are_dates() {
        for text in ["2026-09-08", "2024-02-29", "2000-02-29", "2026-12-31"] {
            assert_eq!(text.parse::<CompatibilityDate>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "2026",
            "2026-9-8",
            "2026-13-01",
            "2026-00-10",
            "2026-02-29",
            "1900-02-29",
            "2026-04-31",
            "2026-09-00",
            "2026/09/08",
            "2026-09-08T",
            "+026-09-08",
            "2026-09-0é",
            "tomorrow!!",
        ] {
            assert!(text.parse::<CompatibilityDate>().is_err(), "{text}");
        }
    }

    #[test]
    fn dates_are_in_order() {
        let date = |text: &str| text.parse::<CompatibilityDate>().unwrap();
        assert!(date("2025-12-31") < date("2026-01-01"));
        assert!(date("2026-09-07") < date("2026-09-08"));
    }
}

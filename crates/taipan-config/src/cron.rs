//! Times at which a Worker is called, as `triggers.crons` has them: minute, hour, day, month, weekday, all in UTC.
//!
//! The dialect is Cloudflare's: weekdays are 1 (Sunday) to 7, or names; `L` is the last day of the month, `6L` its last Friday, `15W`
//! the weekday nearest to the 15th, `6#2` its second Friday. When both days are restricted, either is enough.

use std::fmt;
use std::ops::RangeInclusive;

use crate::date::date_of_day;

/// A search ends after so many days: the 29th of February may be eight years away.
const LONGEST_SEARCH: i64 = 366 * 9;

const DAY: i64 = 86_400;

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// When a Worker is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: u64,
    hours: u64,
    months: u64,
    days: Option<Days>,
    weekdays: Option<Weekdays>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Days {
    set: u64,
    last: bool,
    /// The weekday nearest to the last day.
    last_weekday: bool,
    nearest_weekdays: Vec<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Weekdays {
    set: u64,
    last: Vec<u32>,
    nth: Vec<(u32, u32)>,
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Cron {
    /// Understands an expression; the error says which part is wrong.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else {
            return Err(format!("expected five parts, found {}", parts.len()));
        };
        let cron = Self {
            text: text.to_owned(),
            minutes: set("minute", minute, 0..=59, &[])?,
            hours: set("hour", hour, 0..=23, &[])?,
            months: set("month", month, 1..=12, &MONTHS)?,
            days: days(day)?,
            weekdays: weekdays(weekday)?,
        };
        match cron.next(0) {
            Some(_) => Ok(cron),
            None => Err("there is no such day".to_owned()),
        }
    }

    /// The first time after `after`, in seconds since the epoch; on a whole minute.
    pub fn next(&self, after: i64) -> Option<i64> {
        let first = after.div_euclid(60) * 60 + 60;
        let today = first.div_euclid(DAY);
        let mut from = first.rem_euclid(DAY);
        for day in today..today + LONGEST_SEARCH {
            if self.has_day(day)
                && let Some(second) = self.in_day(from)
            {
                return Some(day * DAY + second);
            }
            from = 0;
        }
        None
    }

    fn in_day(&self, from: i64) -> Option<i64> {
        (from / 60..1440).find(|m| has(self.hours, m / 60) && has(self.minutes, m % 60)).map(|m| m * 60)
    }

    fn has_day(&self, day: i64) -> bool {
        let (year, month, date) = date_of_day(day);
        if !has(self.months, month) {
            return false;
        }
        let length = days_in(year, month);
        // 1 is Sunday; the epoch was a Thursday.
        let weekday = |date_: i64| (day + date_ - date + 4).rem_euclid(7) + 1;
        let by_date = self.days.as_ref().map(|days| {
            let nearest = |wanted: i64| match weekday(wanted) {
                7 if wanted > 1 => wanted - 1,
                7 => wanted + 2,
                1 if wanted < length => wanted + 1,
                1 => wanted - 2,
                _ => wanted,
            };
            has(days.set, date)
                || (days.last && date == length)
                || (days.last_weekday && date == nearest(length))
                || days
                    .nearest_weekdays
                    .iter()
                    .any(|d| i64::from(*d) <= length && date == nearest(i64::from(*d)))
        });
        let by_weekday = self.weekdays.as_ref().map(|weekdays| {
            let today = weekday(date);
            has(weekdays.set, today)
                || weekdays.last.iter().any(|d| i64::from(*d) == today && date + 7 > length)
                || weekdays
                    .nth
                    .iter()
                    .any(|(d, n)| i64::from(*d) == today && (date - 1) / 7 + 1 == i64::from(*n))
        });
        match (by_date, by_weekday) {
            (None, None) => true,
            (Some(is_day), None) | (None, Some(is_day)) => is_day,
            (Some(a), Some(b)) => a || b,
        }
    }
}

fn has(set: u64, n: i64) -> bool {
    set >> n & 1 == 1
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days(part: &str) -> Result<Option<Days>, String> {
    if matches!(part, "*" | "?") {
        return Ok(None);
    }
    let mut days = Days::default();
    for item in part.split(',') {
        let upper = item.to_ascii_uppercase();
        match (upper.as_str(), upper.strip_suffix('W')) {
            ("L", _) => days.last = true,
            ("LW" | "WL", _) => days.last_weekday = true,
            (_, Some(date)) => days.nearest_weekdays.push(number("day", date, &(1..=31), &[])?),
            _ => days.set |= set("day", item, 1..=31, &[])?,
        }
    }
    Ok(Some(days))
}

fn weekdays(part: &str) -> Result<Option<Weekdays>, String> {
    if matches!(part, "*" | "?") {
        return Ok(None);
    }
    let mut found = Weekdays::default();
    let weekday = |text: &str| number("weekday", text, &(1..=7), &WEEKDAYS);
    for item in part.split(',') {
        let upper = item.to_ascii_uppercase();
        if upper == "L" {
            found.set |= 1 << 7;
        } else if let Some(day) = upper.strip_suffix('L') {
            found.last.push(weekday(day)?);
        } else if let Some((day, nth)) = upper.split_once('#') {
            found.nth.push((weekday(day)?, number("weekday", nth, &(1..=5), &[])?));
        } else {
            found.set |= set("weekday", item, 1..=7, &WEEKDAYS)?;
        }
    }
    Ok(Some(found))
}

/// The numbers that a list of numbers, ranges and steps stands for.
fn set(what: &str, part: &str, range: RangeInclusive<u32>, names: &[&str]) -> Result<u64, String> {
    let mut set = 0;
    for item in part.split(',') {
        let (span, step) = match item.split_once('/') {
            Some((span, step)) => (span, Some(number(what, step, &(1..=*range.end()), &[])?)),
            None => (item, None),
        };
        let (from, to) = match span.split_once('-') {
            _ if span == "*" => (*range.start(), *range.end()),
            Some((from, to)) => (number(what, from, &range, names)?, number(what, to, &range, names)?),
            None => {
                let from = number(what, span, &range, names)?;
                // A step without an end goes on to the last.
                (from, if step.is_some() { *range.end() } else { from })
            }
        };
        if from > to {
            return Err(format!("the {what} ends before it begins: {item}"));
        }
        for n in (from..=to).step_by(step.unwrap_or(1) as usize) {
            set |= 1 << n;
        }
    }
    Ok(set)
}

fn number(what: &str, text: &str, range: &RangeInclusive<u32>, names: &[&str]) -> Result<u32, String> {
    let named = (1..).zip(names).find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(n, _)| n);
    let number = named.or_else(|| text.parse().ok()).filter(|n| range.contains(n));
    number.ok_or_else(|| format!("the {what} is from {} to {}, not `{text}`", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Days since the epoch, by the inverse of [`date_of_day`].
    fn at(year: i64, month: i64, date: i64, hour: i64, minute: i64) -> i64 {
        let day = (0..40_000).find(|day| date_of_day(*day) == (year, month, date)).unwrap();
        day * DAY + hour * 3600 + minute * 60
    }

    fn next(cron: &str, after: i64) -> i64 {
        Cron::parse(cron).unwrap().next(after).unwrap()
    }

    #[test]
    fn times_come_in_order() {
        // A Saturday.
        let now = at(2026, 11, 28, 17, 25) + 30;
        assert_eq!(next("* * * * *", now), at(2026, 11, 28, 17, 26));
        assert_eq!(next("*/15 * * * *", now), at(2026, 11, 28, 17, 30));
        assert_eq!(next("25 17 * * *", at(2026, 11, 28, 17, 25)), at(2026, 11, 29, 17, 25));
        assert_eq!(next("0 0 1 JAN *", now), at(2027, 1, 1, 0, 0));
        assert_eq!(next("5/20 9-17/4 * * MON-FRI", now), at(2026, 11, 30, 9, 5));
        assert_eq!(next("0 12 * * 1", now), at(2026, 11, 29, 12, 0));
        assert_eq!(next("0 0 L * *", now), at(2026, 11, 30, 0, 0));
        assert_eq!(next("0 0 LW 2 *", now), at(2027, 2, 26, 0, 0));
        assert_eq!(next("0 0 29 2 *", now), at(2028, 2, 29, 0, 0));
        assert_eq!(next("0 0 * * 6L", now), at(2026, 12, 25, 0, 0));
        assert_eq!(next("0 0 * * FRI#2", now), at(2026, 12, 11, 0, 0));
        // The 5th of December 2026 is a Saturday, the 6th a Sunday; August 2026 begins on a Saturday.
        assert_eq!(next("0 0 5W 12 *", now), at(2026, 12, 4, 0, 0));
        assert_eq!(next("0 0 6W 12 *", now), at(2026, 12, 7, 0, 0));
        assert_eq!(next("0 0 1W 8 *", at(2026, 7, 1, 0, 0)), at(2026, 8, 3, 0, 0));
        // Either day is enough.
        assert_eq!(next("0 0 13 * FRI", now), at(2026, 12, 4, 0, 0));
    }

    #[test]
    fn what_is_no_time_is_said() {
        let wrong = |text: &str| Cron::parse(text).unwrap_err();
        assert_eq!(wrong("* * * *"), "expected five parts, found 4");
        assert_eq!(wrong("60 * * * *"), "the minute is from 0 to 59, not `60`");
        assert_eq!(wrong("* * * * 0"), "the weekday is from 1 to 7, not `0`");
        assert_eq!(wrong("* * * FOO *"), "the month is from 1 to 12, not `FOO`");
        assert_eq!(wrong("*/0 * * * *"), "the minute is from 1 to 59, not `0`");
        assert_eq!(wrong("9-5 * * * *"), "the minute ends before it begins: 9-5");
        assert_eq!(wrong("0 0 30 2 *"), "there is no such day");
    }
}

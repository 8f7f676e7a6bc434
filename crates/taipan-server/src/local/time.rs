//! Times as S3 writes them.

use taipan_config::date_of_day;

/// Milliseconds since the epoch as `2006-02-03T16:45:09.000Z`.
pub(crate) fn iso(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = date_of_day(days);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:03}Z", rest / 1000 % 60, rest % 1000)
}

/// Seconds since the epoch of `20060203T164509Z`.
pub(super) fn epoch_of_basic(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok().map(i64::from);
    if text.len() != 16 || text.get(8..9)? != "T" || text.get(15..)? != "Z" {
        return None;
    }
    seconds([number(0..4)?, number(4..6)?, number(6..8)?], [number(9..11)?, number(11..13)?, number(13..15)?])
}

/// Seconds since the epoch of `2006-02-03T16:45:09`, whatever follows; in UTC.
pub(super) fn epoch_of_iso(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok().map(i64::from);
    seconds(
        [number(0..4)?, number(5..7)?, number(8..10)?],
        [number(11..13)?, number(14..16)?, number(17..19)?],
    )
}

fn seconds([year, month, day]: [i64; 3], [hour, minute, second]: [i64; 3]) -> Option<i64> {
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_time = hour < 24 && minute < 60 && second < 61;
    (is_date && is_time).then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since the epoch. Years are counted from March, so that the odd day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month < 3 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(951_827_696_789), "2000-02-29T12:34:56.789Z");
        assert_eq!(epoch_of_basic("20000229T123456Z"), Some(951_827_696));
        assert_eq!(epoch_of_basic("20001329T123456Z"), None);
        assert_eq!(epoch_of_basic("2000é29T123456Z"), None);
        for day in (-200_000..200_000).step_by(37) {
            let ms = day * 86_400_000;
            assert_eq!(epoch_of_iso(&iso(ms)), Some(ms / 1000), "{}", iso(ms));
        }
    }
}

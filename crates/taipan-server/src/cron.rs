//! Calls a Worker at the times that its configuration names.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use taipan_config::Cron;
use tokio::time::sleep;

use crate::{Console, Problem, Slot};

/// So often the clock is looked at: a machine may sleep, and its clock be set.
const LOOK_EVERY: i64 = 10;

/// A clock that is set back by more than this is believed.
const JUMP: i64 = 120;

/// Calls the current version of the Worker at each of the times, until it is dropped.
pub async fn run_crons(slot: Arc<Slot>, crons: Vec<Cron>, console: Arc<dyn Console>) {
    let mut looked_at = now();
    loop {
        let next = crons.iter().filter_map(|cron| cron.next(looked_at)).min();
        let Some(next) = next else { return };
        let wait = (next - now()).clamp(0, LOOK_EVERY);
        sleep(Duration::from_secs(u64::try_from(wait).unwrap_or_default())).await;
        let now = now();
        for (cron, time) in due(&crons, looked_at, now) {
            let worker = slot.current();
            let (cron, console) = (cron.to_string(), console.clone());
            tokio::spawn(async move {
                if let Err(fault) = worker.scheduled(&cron, time * 1000).await {
                    console.failure(&Problem::from(&fault).text());
                }
            });
        }
        looked_at = seen(looked_at, now);
    }
}

/// Up to when times have been looked at: by a clock that is corrected by a little, none comes twice.
fn seen(looked_at: i64, now: i64) -> i64 {
    if now + JUMP < looked_at { now } else { now.max(looked_at) }
}

/// The times that have come. One that was missed more than once, because the machine slept, is made up for once.
fn due(crons: &[Cron], looked_at: i64, now: i64) -> Vec<(&Cron, i64)> {
    let last = |cron: &Cron| {
        let mut last = cron.next(looked_at).filter(|time| *time <= now)?;
        // A year of minutes takes a while to count through: a day is near enough.
        let mut from = last.max(now - 86_400);
        while let Some(time) = cron.next(from).filter(|time| *time <= now) {
            last = time;
            from = time;
        }
        Some(last)
    };
    crons.iter().filter_map(|cron| Some((cron, last(cron)?))).collect()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_comes_once_and_missed_ones_are_made_up_for_once() {
        let crons = ["* * * * *", "0 * * * *"].map(|text| Cron::parse(text).unwrap());
        let times = |looked_at, now| {
            due(&crons, looked_at, now).into_iter().map(|(_, time)| time).collect::<Vec<_>>()
        };
        assert_eq!(times(3590, 3599), [0; 0]);
        assert_eq!(times(3590, 3600), [3600, 3600]);
        assert_eq!(times(3600, 3610), [0; 0]);
        assert_eq!(times(3600, 3661), [3660]);
        // A night, and a month.
        assert_eq!(times(3600, 40_000), [39_960, 39_600]);
        assert_eq!(times(3600, 2_600_030), [2_599_980, 2_599_200]);
        // The clock was set back.
        assert_eq!(times(40_000, 3600), [0; 0]);
    }

    #[test]
    fn a_clock_that_is_set_neither_repeats_a_minute_nor_stops_them() {
        let crons = [Cron::parse("* * * * *").unwrap()];
        let mut looked_at = 3590;
        let mut called = |now| {
            let times: Vec<i64> = due(&crons, looked_at, now).into_iter().map(|(_, time)| time).collect();
            looked_at = seen(looked_at, now);
            times
        };
        assert_eq!(called(3601), [3600]);
        // Corrected by some seconds, it comes by the same minute again.
        assert_eq!((called(3595), called(3602), called(3661)), (vec![], vec![], vec![3660]));
        // Set to another year and back.
        assert_eq!((called(31_536_001), called(3700), called(3721)), (vec![31_536_000], vec![], vec![3720]));
    }
}

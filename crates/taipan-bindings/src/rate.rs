//! How often something was done of late.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many keys are counted. Beyond that, those are forgotten whose period began first.
const MOST_KEYS: usize = 100_000;

/// The counts of a namespace, which all bindings to it share.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<HashMap<(String, Duration), (Instant, u32)>>);

/// One of the `ratelimits`.
#[derive(Debug)]
pub(crate) struct RateLimit {
    pub(crate) counts: Arc<Counts>,
    pub(crate) limit: u32,
    pub(crate) period: Duration,
}

impl RateLimit {
    /// Whether the key may do it once more.
    pub(crate) fn allows(&self, key: &str, now: Instant) -> bool {
        let mut counts = self.counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |since: Instant, period: Duration| now.saturating_duration_since(since) >= period;
        let slot = (key.to_owned(), self.period);
        if counts.len() >= MOST_KEYS && !counts.contains_key(&slot) {
            counts.retain(|(_, period), (since, _)| !is_over(*since, *period));
            if counts.len() >= MOST_KEYS {
                let mut times: Vec<Instant> = counts.values().map(|(since, _)| *since).collect();
                times.sort_unstable();
                let median = times.get(times.len() / 2).copied().unwrap_or(now);
                counts.retain(|_, (since, _)| *since > median);
            }
        }
        let (since, count) = counts.entry(slot).or_insert((now, 0));
        if is_over(*since, self.period) {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_apart_and_anew_in_each_period() {
        let counts = Arc::new(Counts::default());
        let limit = |limit| RateLimit { counts: counts.clone(), limit, period: Duration::from_secs(10) };
        let begin = Instant::now();
        let tries = |limit: &RateLimit, key, seconds| limit.allows(key, begin + Duration::from_secs(seconds));
        let two = limit(2);
        assert_eq!([0, 1, 2, 9].map(|at| tries(&two, "a", at)), [true, true, false, false]);
        assert!(tries(&two, "b", 9) && tries(&two, "a", 10));
        // Another binding to the same namespace.
        assert!(!tries(&limit(1), "a", 11) && tries(&limit(3), "a", 11));
    }

    #[test]
    fn memory_is_bounded() {
        let limit = RateLimit { counts: Arc::default(), limit: 1, period: Duration::from_secs(10) };
        let begin = Instant::now();
        for i in 0..MOST_KEYS as u64 * 2 {
            limit.allows(&i.to_string(), begin + Duration::from_micros(i));
        }
        assert!(limit.counts.0.lock().unwrap().len() <= MOST_KEYS);
    }
}

//! Whether the peer of a WebSocket is still there: a question of times, and of nothing else.

use std::time::Duration;

use tokio::time::Instant;

/// A peer that says nothing for so long is pinged, and given up after as long again. So is one that does not read.
const SILENCE: Duration = Duration::from_secs(60);

/// What is known of a peer.
pub(super) struct Pulse {
    /// When it was last heard.
    heard: Instant,
    /// When it last read, or had nothing to read.
    progress: Instant,
    is_pinged: bool,
}

/// What is to be done when the deadline has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ping,
    Wait,
    GiveUp,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self { heard: now, progress: now, is_pinged: false }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.is_pinged = false;
    }

    pub(super) fn progress(&mut self, now: Instant) {
        self.progress = now;
    }

    /// When something is to be done about silence, if nothing happens until then.
    pub(super) fn deadline(&self, has_unread: bool) -> Instant {
        let deadline = self.heard + if self.is_pinged { SILENCE * 2 } else { SILENCE };
        if has_unread { deadline.min(self.progress + SILENCE) } else { deadline }
    }

    /// The deadline has come. We may be the ones who do not listen.
    pub(super) fn check(&mut self, now: Instant, has_unread: bool, listens: bool) -> Verdict {
        if self.is_pinged || has_unread && now >= self.progress + SILENCE {
            return Verdict::GiveUp;
        }
        if !listens {
            self.heard = now;
            return Verdict::Wait;
        }
        self.is_pinged = true;
        Verdict::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn silence_is_answered_with_a_ping_and_then_with_the_end() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        assert_eq!(pulse.deadline(false), start + SECOND * 60);
        assert_eq!(pulse.check(start + SECOND * 60, false, true), Verdict::Ping);
        assert_eq!(pulse.deadline(false), start + SECOND * 120);
        assert_eq!(pulse.check(start + SECOND * 120, false, true), Verdict::GiveUp);
    }

    #[test]
    fn whoever_answers_stays() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        for round in 1..4 {
            assert_eq!(pulse.check(start + SECOND * 60 * round, false, true), Verdict::Ping);
            pulse.heard(start + SECOND * 60 * round);
            assert_eq!(pulse.deadline(false), start + SECOND * 60 * (round + 1));
        }
    }

    #[test]
    fn whoever_does_not_read_is_given_up_however_much_it_says() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.heard(start + SECOND * 50);
        assert_eq!(pulse.deadline(true), start + SECOND * 60);
        assert_eq!(pulse.check(start + SECOND * 60, true, true), Verdict::GiveUp);
        pulse.progress(start + SECOND * 30);
        assert_eq!(pulse.deadline(true), start + SECOND * 90);
    }

    #[test]
    fn silence_while_we_do_not_listen_is_ours() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        assert_eq!(pulse.check(start + SECOND * 60, false, false), Verdict::Wait);
        assert_eq!(pulse.deadline(false), start + SECOND * 120);
    }
}

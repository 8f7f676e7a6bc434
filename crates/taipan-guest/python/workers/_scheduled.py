"""What a handler is told that is called at a certain time."""

from __future__ import annotations

from datetime import UTC, datetime


class ScheduledController:
    """Which time it is that has come."""

    type = "scheduled"

    def __init__(self, cron: str, time_ms: float) -> None:
        #: The expression of the configuration's `triggers.crons`.
        self.cron = cron
        #: The time, in milliseconds since 1970.
        self.scheduledTime = time_ms  # noqa: N815 - the platform's name

    @property
    def scheduled_time(self) -> datetime:
        """The time."""
        return datetime.fromtimestamp(self.scheduledTime / 1000, UTC)

    def noRetry(self) -> None:  # noqa: N802
        """Accepted and without effect: a call that fails is not repeated."""

    no_retry = noRetry

    def __repr__(self) -> str:
        return f"<ScheduledController {self.cron!r} at {self.scheduled_time.isoformat()}>"

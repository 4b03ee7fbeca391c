"""A wall plug that nothing measures."""

from __future__ import annotations

from edge.power.sources.reading import Reading, Verdict, known


class Plain:
    """Reads `supply` as more than enough, always: what a board is when no source is configured."""

    quiet = True

    def __init__(self, name: str = "plain") -> None:
        self.name = name

    def read(self, now: float) -> tuple[Reading, ...]:  # noqa: ARG002 - it never changes
        """The same as ever."""
        reason = "plain supply configured: always good"
        return (known(self.name, "supply", 1.0, verdict=Verdict.SURPLUS, reason=reason),)

    def close(self) -> None:
        """Nothing is held open."""

"""The times that sources write, each in its own way."""

from datetime import UTC, datetime
from typing import Final

_MONTHS: Final = {name: number for number, name in enumerate(
    ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
)}  # fmt: skip
_X_FIELDS = 6
_MILLISECONDS_FROM = 1e11


def parse_time(value: object) -> datetime | None:
    """Return the time in UTC; None if it cannot be told.

    Understands X's `Mon Jan 05 08:36:41 +0000 2026`, ISO 8601 (without a zone it is UTC), and seconds or milliseconds
    since 1970.
    """
    try:
        if isinstance(value, datetime):
            time = value
        elif isinstance(value, int | float):
            time = datetime.fromtimestamp(value / 1000 if value > _MILLISECONDS_FROM else value, UTC)
        elif isinstance(value, str):
            time = _from_x(value.split()) or datetime.fromisoformat(value)
        else:
            return None
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _from_x(fields: list[str]) -> datetime | None:
    """Return the time in X's own format; `strptime` would take most of the time that an archive takes."""
    if len(fields) != _X_FIELDS or fields[4] != "+0000" or fields[1] not in _MONTHS:
        return None
    return datetime.fromisoformat(f"{fields[5]}-{_MONTHS[fields[1]]:02}-{fields[2]}T{fields[3]}+00:00")

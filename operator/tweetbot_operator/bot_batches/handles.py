"""The list of handles, as a user wrote it: what is good goes on, what is not is told with its place."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tweetbot_api.bot_batch import MOST_HANDLES
from tweetbot_api.names import batch_bot_name, digest
from tweetbot_api.spec.handles import find_handle_problem, normalize_handles
from tweetbot_api.spec.source import Source

_LONGEST_QUOTE = 40
TOO_MANY = f"a TweetBotBatch has at most {MOST_HANDLES:,} handles; make another one for the rest"


@dataclass(frozen=True, slots=True)
class Entry:
    """One handle of the list and the name of its bot."""

    handle: str
    name: str


@dataclass(frozen=True, slots=True)
class HandleList:
    """What was read."""

    entries: tuple[Entry, ...] = ()
    """Each handle once, lower case and without `@`, in the order of the list."""
    problems: tuple[str, ...] = ()
    """What was left out, with place and remedy."""

    def hash_of_first(self, count: int) -> str:
        """Return a hash of the first handles of the list."""
        return digest(*(entry.handle for entry in self.entries[:count]), length=16)


def read_text(text: str, batch: str, source: Source, unit: str = "line") -> HandleList:
    """Read a text with one handle in each line; empty lines, and what follows a `#`, are left out.

    `unit` is what a line is called where something is wrong with it.
    """
    lines = ((f"{unit} {number}", line.split("#")[0].strip()) for number, line in enumerate(text.splitlines(), 1))
    return _collect(((place, line) for place, line in lines if line), batch, source)


def read_items(handles: Sequence[str], batch: str, source: Source) -> HandleList:
    """Read the list that stands in the spec."""
    return _collect(((f"spec.handles[{index}]", handle) for index, handle in enumerate(handles)), batch, source)


def _collect(written: Iterable[tuple[str, str]], batch: str, source: Source) -> HandleList:
    first_places: dict[str, str] = {}
    problems: list[str] = []
    for place, text in written:
        if len(first_places) == MOST_HANDLES:
            problems.append(f"{place} and what follows: {TOO_MANY}")
            break
        problem = find_handle_problem(text, source)
        if problem:
            problems.append(f"{place} ({text[:_LONGEST_QUOTE]!r}): {problem}")
            continue
        (handle,) = normalize_handles([text])
        first = first_places.setdefault(handle, place)
        if first != place:
            problems.append(f"{place} ({handle}): it stands in {first} already; remove one")
    entries = tuple(Entry(handle, batch_bot_name(batch, handle)) for handle in first_places)
    return HandleList(entries, tuple(problems))

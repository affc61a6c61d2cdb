"""Which operator is this? Written on the Jobs that it makes, so that one can tell who made them after an upgrade."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def operator_version() -> str:
    """Return the version of the installed distribution."""
    try:
        return version("tweetbot-operator")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"

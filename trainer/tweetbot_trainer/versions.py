"""Which versions a run is made with. Looked up once: each look reads a package's whole description."""

from functools import cache
from importlib.metadata import version


@cache
def version_of(package: str) -> str:
    """Return the installed version; raise PackageNotFoundError if there is none."""
    return version(package)

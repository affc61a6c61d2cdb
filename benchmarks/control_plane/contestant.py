"""What a contestant is: something that brings N objects to their end by way of Jobs."""

from pathlib import Path
from typing import Any, Protocol

from benchmarks.control_plane.plane import NAMESPACE, Plane

Document = dict[str, Any]


class Contestant(Protocol):
    """Controllers as processes beside a control plane, and the objects that they work on."""

    name: str
    collection: str
    """Path of the objects."""

    def start(self, plane: Plane) -> None:
        """Install and start it; return when it is ready to work."""
        ...

    def stop(self) -> None:
        """End its processes."""
        ...

    def processes(self) -> dict[str, int]:
        """Return the ids of its controllers' processes by name."""
        ...

    def make(self, number: int) -> Document:
        """Return an object to create."""
        ...

    def is_complete(self, document: Document) -> bool:
        """Tell whether an object has come to its good end."""
        ...

    def objects_of(self, job: Document) -> list[str]:
        """Return the names of the objects that a Job, of which the metadata are given, is the first for."""
        ...


def has_condition(document: Document, kind: str) -> bool:
    """Tell whether a condition is true."""
    conditions = (document.get("status") or {}).get("conditions") or []
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)


def collection(group_version: str, plural: str) -> str:
    """Return the path of a collection in the benchmark's namespace."""
    return f"/apis/{group_version}/namespaces/{NAMESPACE}/{plural}"


def own_folder(plane: Plane, name: str) -> Path:
    """Return a new folder for what a contestant writes."""
    folder = plane.folder / name
    folder.mkdir()
    return folder

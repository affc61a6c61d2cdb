"""The base of every model in the contract: camelCase outside, snake_case inside, frozen, strict about unknown keys."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """A frozen model whose fields are described by the docstring below each and named in camelCase on the wire."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON object that Kubernetes or the other side receives, without empty optional fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _to_kubernetes_time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[datetime, PlainSerializer(_to_kubernetes_time, return_type=str, when_used="json")]
"""A time as Kubernetes' metav1.Time writes it: RFC 3339, UTC, whole seconds."""

"""One line of the table of a bot's life: what it is, what happens, and what comes of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.integration.life_cycle.bot import Bot
from tests.integration.life_cycle.given import Given
from tests.integration.life_cycle.when import HAPPENS


@dataclass(frozen=True)
class Case:
    given: Given
    when: HAPPENS
    then: str
    """The phases that follow, every one; none if it stays as it is."""
    reason: str | None = None
    """That of the condition Ready in the end."""
    holds: Callable[[Bot], bool] = lambda _: True
    spec: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> list[str | None]:
        """Every phase of the bot's life, the first of which is none."""
        phases = f"{self.given.path} > {self.then}".removeprefix(" > ").removesuffix(" > ").split(" > ")
        return [None, *(None if phase == "(none)" else phase for phase in phases)]

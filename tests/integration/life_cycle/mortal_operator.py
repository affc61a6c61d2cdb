"""An operator that can be killed by its own write: the apiserver has stored it, the operator never hears of that."""

from dataclasses import dataclass, field
from threading import Event

from tests.integration.api import PATIENCE_SECONDS
from tests.integration.deadly_proxy import DeadlyProxy
from tests.integration.operator_process import OperatorProcess


@dataclass
class MortalOperator:
    process: OperatorProcess
    proxy: DeadlyProxy
    _is_dead: Event = field(default_factory=Event)

    def die_of(self, path: str) -> None:
        """Let it die of its next write to a path that ends like this."""

        def kill() -> None:
            if self.proxy.writes[-1].endswith(path) and not self._is_dead.is_set():
                self.process.kill()
                self._is_dead.set()

        self._is_dead.clear()
        self.proxy.kill = kill

    def wait_for_death(self) -> None:
        """Wait until it has died as it had to."""
        assert self._is_dead.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """Let it die now."""
        self.process.kill()

    def revive(self) -> None:
        """Start it again."""
        self.process.start()

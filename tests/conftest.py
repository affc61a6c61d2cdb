import os

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# Workers of the test run share the machine; before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is slow, not wrong; and a failure must come back when it is looked for.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


class OneWorkerPerFile(LoadScopeScheduling):
    """A file's tests run in one worker, and so do all that use the local cluster, for there is only one."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        return "e2e" if path.startswith("tests/e2e/") else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> OneWorkerPerFile:
    return OneWorkerPerFile(config, log)

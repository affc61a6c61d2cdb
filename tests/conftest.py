import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Workers of the test run share the machine; before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is slow, not wrong; and a failure must come back when it is looked for.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

_TESTS = Path(__file__).parent


# A wrapper, for xdist reads the groups as the first of those that implement this hook.
@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Let one worker have the tests of a file, and all that use the local cluster: there is only one."""
    for item in items:
        path = item.path.relative_to(_TESTS)
        item.add_marker(pytest.mark.xdist_group("e2e" if path.parts[0] == "e2e" else str(path)))
    yield

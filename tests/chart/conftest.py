import pytest

from cluster import tools
from cluster.paths import Paths
from tests.chart.chart import Chart, Manifest


@pytest.fixture(scope="session")
def chart() -> Chart:
    """The pinned helm, built first if that was not done before."""
    return Chart(tools.ensure(Paths.from_environment(), "kubernetes") / "helm")


@pytest.fixture(scope="session")
def manifests(chart: Chart) -> list[Manifest]:
    """The chart with its defaults."""
    return chart.render()

import pytest

from cluster.errors import ClusterError
from cluster.paths import Paths


@pytest.mark.parametrize(
    ("environment", "cache"),
    [
        ({"TWEETBOT_CACHE": "/c", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/c"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/tweetbot"),
        ({"HOME": "/h"}, "/h/.cache/tweetbot"),
    ],
)
def test_cache_folder_follows_the_environment(environment, cache):
    assert str(Paths.from_environment(environment).cache) == cache


def test_all_state_lies_in_one_folder_and_tools_lie_outside_it():
    paths = Paths.from_environment({"TWEETBOT_CACHE": "/c"})
    state = [
        paths.logs,
        paths.run,
        paths.containerd_socket,
        paths.containerd_store,
        paths.cni,
        paths.buildkit_socket,
        paths.kubeconfig,
        paths.kubelet,
        paths.s3,
        *paths.kept,
    ]
    assert all(path.is_relative_to("/c/cluster") for path in state)
    assert not paths.tools.is_relative_to(paths.state)


def test_a_path_too_long_for_sockets_is_refused():
    with pytest.raises(ClusterError, match="set TWEETBOT_CACHE to a shorter one"):
        Paths.from_environment({"TWEETBOT_CACHE": "/" + "long/" * 20})

"""What the operator's account may do, asked of a real apiserver, and which Secrets a user may name."""

from pathlib import Path

import pytest
from kubernetes.config import new_client_from_config

from cluster import tools
from cluster.control_plane import ControlPlane
from cluster.paths import Paths
from tests.chart.chart import Chart, of_kind
from tests.integration.api import Api, ApiError, bots_path, wait_for
from tests.integration.operator_process import USER
from tweetbot_api.secret_fields import secret_paths
from tweetbot_operator.permissions import Rule

pytestmark = pytest.mark.integration

EDITOR = "editor"
EDIT = Rule(
    api_groups=("tweetbot.dev",), resources=("tweetbots",), verbs=("create", "patch", "get"), why="to edit bots"
)
EDIT_BATCHES = Rule(
    api_groups=("tweetbot.dev",), resources=("tweetbotbatches",), verbs=("create",), why="to make batches of bots"
)
EVERYBODY = {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}
"""What every account may do: ask what it may do."""


def log_in(control_plane: ControlPlane, user: str, folder: Path) -> Api:
    kubeconfig = folder / f"{user}-kubeconfig"
    control_plane.client(user, user).write_kubeconfig(kubeconfig)
    return Api(new_client_from_config(str(kubeconfig)))


def list_rights(api: Api, namespace: str) -> list[str]:
    """Return what `kubectl auth can-i --list` shows of an account's own rights in a namespace."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    status = api.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review)["status"]
    return sorted(
        f"{f'{resource}.{group}'.rstrip('.')} {' '.join(sorted(rule['verbs']))}"
        for rule in status["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if resource not in EVERYBODY
    )


def test_the_operators_account_may_do_what_is_reviewed_and_nothing_else(
    control_plane: ControlPlane, api: Api, namespace: str, tmp_path: Path
) -> None:
    reviewed = (Path(__file__).parents[1] / "golden" / "operator" / "permissions.txt").read_text().splitlines()
    want = sorted(" ".join(line.split()[1:]) for line in reviewed if not line.startswith("operator"))

    rights = list_rights(log_in(control_plane, USER, tmp_path), namespace)

    assert rights == want
    assert not any("secret" in right or "*" in right for right in rights)


@pytest.fixture(scope="module")
def secret_policy(api: Api) -> None:
    """The chart's admission policy, in force."""
    chart = Chart(tools.ensure(Paths.from_environment(), "kubernetes") / "helm")
    kinds = {
        "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
        "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    }
    for manifest in of_kind(chart.render(), *kinds):
        api.call("POST", f"/apis/admissionregistration.k8s.io/v1/{kinds[manifest['kind']]}", manifest)


def nest(path: tuple[str, ...], value: object) -> dict:
    """Return the object that holds the value at the path, with what else the schema wants beside it."""
    for name in reversed(path):
        value = {name: value}
    assert isinstance(value, dict)
    if "huggingFace" in path:
        value["output"]["huggingFace"]["repo"] = "team/ann"
    return value


@pytest.mark.usefixtures("secret_policy")
def test_a_user_may_name_only_secrets_that_they_may_read(
    control_plane: ControlPlane, api: Api, namespace: str, tmp_path: Path
) -> None:
    user = f"{EDITOR}-{namespace}"
    may_read = Rule(api_groups=("",), resources=("secrets",), verbs=("get",), why="their own")
    api.allow(user, [EDIT], namespace)
    role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{user}"
    editor = log_in(control_plane, user, tmp_path)
    editor.create_bot(namespace, name="plain", suspend=True)

    def refusal(path: tuple[str, ...]) -> str:
        try:
            source = {"handles": ["ann"], "source": {"archive": {"uri": "s3://a/b"}}}
            spec = {**source, **nest(path, {"name": "theirs"})}
            bot = {"apiVersion": "tweetbot.dev/v1alpha1", "kind": "TweetBot", "metadata": {"name": "ann"}, "spec": spec}
            editor.call("POST", f"{bots_path(namespace)}?dryRun=All", bot)
        except ApiError as error:
            return str(error)
        return ""

    # A Secret of the source would need the rest of that source; the chart's test sees that no field is left out.
    paths = [path for path in secret_paths() if path[0] != "source"]
    wait_for(lambda: "may not read" in refusal(paths[0]))
    for path in paths:
        assert f"{'.'.join(('spec', *path))}.name: you may not read the Secret theirs" in refusal(path)

    editor.edit_bot(namespace, {"suspend": False}, name="plain")
    named = {**may_read.to_wire(), "resourceNames": ["theirs"]}
    api.call("PATCH", role, {"rules": [EDIT.to_wire(), named]}, "application/merge-patch+json")
    wait_for(lambda: not refusal(paths[0]))


@pytest.mark.usefixtures("secret_policy")
def test_a_batch_is_checked_where_its_user_makes_it(
    control_plane: ControlPlane, api: Api, namespace: str, tmp_path: Path
) -> None:
    user = f"batches-{namespace}"
    api.allow(user, [EDIT_BATCHES], namespace)
    editor = log_in(control_plane, user, tmp_path)
    path = f"/apis/tweetbot.dev/v1alpha1/namespaces/{namespace}/tweetbotbatches?dryRun=All"

    def refusal(**spec: object) -> str:
        template = {"spec": {"source": {"archive": {"uri": "s3://a/{handle}"}}}}
        body = {"handles": ["ann"], "template": template, **spec}
        kind = {"apiVersion": "tweetbot.dev/v1alpha1", "kind": "TweetBotBatch", "metadata": {"name": "team"}}
        try:
            editor.call("POST", path, {**kind, "spec": body})
        except ApiError as error:
            return str(error)
        return ""

    output = {"s3": {"credentialsSecret": {"name": "theirs"}}}
    template = {"spec": {"source": {"archive": {"uri": "s3://a/{handle}"}}, "output": output}}
    wait_for(lambda: "may not read" in refusal(template=template))
    field = "spec.template.spec.output.s3.credentialsSecret.name"
    assert f"{field}: you may not read the Secret theirs" in refusal(template=template)
    list_of_others = {"handles": None, "handlesFrom": {"configMap": {"name": "theirs"}}}
    assert "spec.handlesFrom.configMap.name: you may not read the ConfigMap theirs" in refusal(**list_of_others)
    assert refusal() == ""

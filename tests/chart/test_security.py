"""The operator gets no more rights than its table of permissions, and runs as the `restricted` standard demands."""

import base64
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.chart.chart import Chart, Manifest, of_kind
from tweetbot_api.bot_batch import TweetBotBatchSpec
from tweetbot_api.secret_fields import secret_paths
from tweetbot_operator.permissions import CLUSTER_WIDE, NAMESPACED, OWN_NAMESPACE

EVERYWHERE: dict[str, Any] = {}
TWO_NAMESPACES = {"namespaces": ["team-a", "team-b"]}
ROLES = ("ClusterRole", "Role")


def operator_roles(manifests: list[Manifest]) -> list[Manifest]:
    return [role for role in of_kind(manifests, *ROLES) if "-user-" not in role["metadata"]["name"]]


@pytest.mark.parametrize("values", [EVERYWHERE, TWO_NAMESPACES], ids=["everywhere", "two namespaces"])
def test_no_rule_has_a_wildcard_or_a_verb_on_secrets(chart: Chart, values: dict[str, Any]) -> None:
    for role in of_kind(chart.render(**values), *ROLES):
        for rule in role["rules"]:
            words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not [word for word in words if "*" in word or word.startswith("secrets")]


def test_everywhere_means_one_cluster_role_with_the_whole_table(chart: Chart) -> None:
    role, own = operator_roles(chart.render())
    assert role["kind"] == "ClusterRole"
    assert role["rules"] == [rule.to_wire() for rule in CLUSTER_WIDE + NAMESPACED]
    assert (own["kind"], own["metadata"]["namespace"]) == ("Role", "tweetbot-system")
    assert own["rules"] == [rule.to_wire() for rule in OWN_NAMESPACE]


def test_namespaces_mean_a_role_in_each_and_only_token_reviews_cluster_wide(chart: Chart) -> None:
    manifests = chart.render(**TWO_NAMESPACES)
    roles = operator_roles(manifests)
    assert [(role["kind"], role["metadata"].get("namespace")) for role in roles] == [
        ("ClusterRole", None),
        ("Role", "tweetbot-system"),
        ("Role", "team-a"),
        ("Role", "team-b"),
    ]
    assert roles[0]["rules"] == [
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}
    ]
    assert all(role["rules"] == [rule.to_wire() for rule in NAMESPACED] for role in roles[2:])


@pytest.mark.parametrize("values", [EVERYWHERE, TWO_NAMESPACES], ids=["everywhere", "two namespaces"])
def test_every_role_is_bound_to_the_operator_alone(chart: Chart, values: dict[str, Any]) -> None:
    manifests = chart.render(**values)
    account = {"kind": "ServiceAccount", "name": "tweetbot-operator", "namespace": "tweetbot-system"}
    bindings = of_kind(manifests, "ClusterRoleBinding", "RoleBinding")
    assert all(binding["subjects"] == [account] for binding in bindings)
    bound = [(item["roleRef"]["kind"], item["roleRef"]["name"], item["metadata"].get("namespace")) for item in bindings]
    assert bound == [
        (role["kind"], role["metadata"]["name"], role["metadata"].get("namespace"))
        for role in operator_roles(manifests)
    ]


def test_whoever_may_edit_a_namespace_may_edit_its_bots_but_not_their_status(chart: Chart) -> None:
    roles = {
        label.rsplit("-", 1)[1]: role["rules"]
        for role in of_kind(chart.render(), "ClusterRole")
        for label in role["metadata"]["labels"]
        if label.startswith("rbac.authorization.k8s.io/aggregate-to-")
    }
    assert set(roles) == {"view", "edit"}
    (view,), (edit,) = roles["view"], roles["edit"]
    assert view["resources"] == edit["resources"] == ["tweetbots", "tweetbotbatches"]
    assert set(view["verbs"]) == {"get", "list", "watch"}
    assert set(edit["verbs"]) == {"create", "update", "patch", "delete", "deletecollection"}


def test_users_roles_may_be_left_alone(chart: Chart) -> None:
    manifests = chart.render(userRoles={"create": False})
    assert of_kind(manifests, *ROLES) == operator_roles(manifests)


def test_the_pod_passes_the_restricted_standard(manifests: list[Manifest]) -> None:
    (deployment,) = of_kind(manifests, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] != 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    kinds = {key for volume in pod["volumes"] for key in volume if key != "name"}
    assert kinds <= {"configMap", "emptyDir", "projected", "secret"}


def test_only_the_operators_pod_gets_a_token(manifests: list[Manifest]) -> None:
    (account,) = of_kind(manifests, "ServiceAccount")
    (deployment,) = of_kind(manifests, "Deployment")
    assert account["automountServiceAccountToken"] is False
    assert deployment["spec"]["template"]["spec"]["automountServiceAccountToken"] is True


def test_a_new_operator_stands_by_before_the_old_one_ends(chart: Chart) -> None:
    deployment = chart.render_one("Deployment", operator={"replicas": 2})
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize(
    ("resource", "paths"),
    [
        ("tweetbots", [*secret_paths()]),
        ("tweetbotbatches", [*secret_paths(TweetBotBatchSpec), ("handlesFrom", "configMap")]),
    ],
)
def test_the_policy_on_secrets_covers_every_field_and_holds_where_bots_are_served(
    chart: Chart, resource: str, paths: list[tuple[str, ...]]
) -> None:
    manifests = chart.render(**TWO_NAMESPACES)
    (policy,) = (
        policy
        for policy in of_kind(manifests, "ValidatingAdmissionPolicy")
        if policy["spec"]["matchConstraints"]["resourceRules"][0]["resources"] == [resource]
    )
    (binding,) = (
        binding
        for binding in of_kind(manifests, "ValidatingAdmissionPolicyBinding")
        if binding["spec"]["policyName"] == policy["metadata"]["name"]
    )
    expressions = [validation["expression"] for validation in policy["spec"]["validations"]]
    for path, expression in zip(paths, expressions, strict=True):
        assert f"object.spec.{'.'.join(path)}.name).check('get').allowed()" in expression
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"][0]["values"] == [
        "team-a",
        "team-b",
    ]
    assert "tweetbot-system:tweetbot-operator'" in policy["spec"]["matchConditions"][0]["expression"]
    assert not of_kind(chart.render(secretPolicy={"create": False}), "ValidatingAdmissionPolicy")


def test_who_trusts_the_charts_authority_trusts_the_server_at_its_address(
    manifests: list[Manifest], tmp_path: Path
) -> None:
    (secret,) = of_kind(manifests, "Secret")
    (settings,) = of_kind(manifests, "ConfigMap")
    for name in ("tls.crt", "tls.key", "ca.crt"):
        (tmp_path / name).write_bytes(base64.b64decode(secret["data"][name]))
    host = urlsplit(yaml.safe_load(settings["data"]["settings.yaml"])["server"]["url"]).hostname
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    client = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    shake_hands(client, server, host)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client, server, "elsewhere.example.org")


def test_a_secret_of_ones_own_replaces_the_charts(chart: Chart) -> None:
    manifests = chart.render(tls={"existingSecret": "from-cert-manager"})
    assert not of_kind(manifests, "Secret")
    (deployment,) = of_kind(manifests, "Deployment")
    sources = deployment["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"]
    assert sources[1]["secret"]["name"] == "from-cert-manager"


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str | None) -> None:
    """Connect the two contexts in memory; raise what the client raises."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert ends[0].getpeercert()

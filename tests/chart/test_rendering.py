"""What the chart installs."""

import re
from collections import Counter

import yaml

from tests.chart.chart import CHART, Chart, Manifest, of_kind

REPOSITORY = CHART.parents[1]


def test_helm_finds_nothing_to_complain_about(chart: Chart) -> None:
    linted = chart.run("lint", "--strict", str(CHART))
    assert linted.returncode == 0, linted.stdout


def test_a_default_install_has_one_object_per_purpose(manifests: list[Manifest]) -> None:
    assert Counter(manifest["kind"] for manifest in manifests) == {
        "ClusterRole": 3,
        "ClusterRoleBinding": 1,
        "ConfigMap": 1,
        "CustomResourceDefinition": 2,
        "Deployment": 1,
        "Role": 1,
        "RoleBinding": 1,
        "Secret": 1,
        "Service": 1,
        "ServiceAccount": 1,
        "ValidatingAdmissionPolicy": 2,
        "ValidatingAdmissionPolicyBinding": 2,
    }


def test_every_object_but_the_cluster_wide_ones_lies_in_the_release_namespace(manifests: list[Manifest]) -> None:
    policies = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    wide = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"} | policies
    for manifest in manifests:
        want_namespace = None if manifest["kind"] in wide else "tweetbot-system"
        assert manifest["metadata"].get("namespace") == want_namespace, manifest["kind"]
        assert manifest["metadata"]["labels"]["app.kubernetes.io/instance"] == "tweetbot"


def test_each_crd_is_the_generated_one_and_outlives_the_release(manifests: list[Manifest]) -> None:
    for crd in of_kind(manifests, "CustomResourceDefinition"):
        metadata = crd["metadata"]
        assert metadata.pop("annotations") == {"helm.sh/resource-policy": "keep"}
        metadata.pop("labels")
        file = metadata["name"].removesuffix(".tweetbot.dev") + ".yaml"
        assert crd == yaml.safe_load((REPOSITORY / "crds" / file).read_text())


def test_the_crd_goes_with_the_release_if_asked_to(chart: Chart) -> None:
    crds = of_kind(chart.render(crds={"keep": False}), "CustomResourceDefinition")
    assert [crd["metadata"].get("annotations") for crd in crds] == [None, None]


def test_the_crd_may_be_installed_by_somebody_else(chart: Chart) -> None:
    assert not of_kind(chart.render(crds={"install": False}), "CustomResourceDefinition")


def test_the_service_and_the_deployment_select_the_operators_pod(manifests: list[Manifest]) -> None:
    (service,) = of_kind(manifests, "Service")
    (deployment,) = of_kind(manifests, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    ports = {port["name"] for port in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == ports


def test_changed_settings_restart_the_operator_and_others_do_not(chart: Chart) -> None:
    def pod_template(**values: object) -> object:
        return chart.render_one("Deployment", **values)["spec"]["template"]

    assert pod_template(workers=9) != pod_template()
    assert pod_template(userRoles={"create": False}) == pod_template()


def test_names_follow_the_release_or_the_override(chart: Chart) -> None:
    assert chart.render_one("Deployment")["metadata"]["name"] == "tweetbot-operator"
    assert chart.render_one("Deployment", fullnameOverride="bots")["metadata"]["name"] == "bots"


def test_an_image_without_tag_or_digest_gets_the_charts_version(chart: Chart) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    for image, want in {
        "tweetbot/operator": f"tweetbot/operator:{version}",
        "registry:5000/operator": f"registry:5000/operator:{version}",
        "registry:5000/operator:dev": "registry:5000/operator:dev",
        "operator@sha256:0123": "operator@sha256:0123",
    }.items():
        deployment = chart.render_one("Deployment", images={"operator": image})
        assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == want


def test_the_notes_end_with_three_commands_that_fit_the_values(chart: Chart) -> None:
    values = ("--set", "namespaces={team-a}", "--set", "defaults.s3.credentialsSecret.name=team-s3")
    dry_run = ("--dry-run=client", "--namespace", "tweetbot-system", *values)
    notes = chart.run("install", "tweetbot", str(CHART), *dry_run).stdout.split("NOTES:")[1]
    assert "No default bucket is set" in notes
    assert re.findall(r"^  (kubectl .+)$", notes, re.MULTILINE) == [
        "kubectl create secret generic team-s3 -n team-a \\",
        "kubectl apply -n team-a -f examples/tweetbot.yaml",
        "kubectl get tweetbots -n team-a --watch",
    ]

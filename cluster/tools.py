"""Programs built from pinned Go modules, kept in the cache under a hash of all that they are made of.

Each folder below `modules/` is one Go module of ours that pins others. Programs whose
dependencies agree share one, so that what they have in common is compiled once.
"""

import json
import os
import shutil
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cluster.commands import output_of, run_logged
from cluster.locking import exclusive
from cluster.paths import Paths
from cluster.progress import step

MODULES = Path(__file__).parent / "modules"
KUBERNETES_VERSION = "v1.34.4"
HELM_VERSION = "v4.0.5"
_MAJOR, _MINOR, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
_KUBERNETES_VARIABLES = {
    "k8s.io/component-base/version.gitVersion": KUBERNETES_VERSION,
    "k8s.io/component-base/version.gitMajor": _MAJOR,
    "k8s.io/component-base/version.gitMinor": _MINOR,
    "helm.sh/helm/v4/internal/version.version": HELM_VERSION,
    "helm.sh/helm/v4/internal/version.kubeClientVersionMajor": _MAJOR,
    "helm.sh/helm/v4/internal/version.kubeClientVersionMinor": _MINOR,
    # What `helm template` and `helm lint` take the cluster to be.
    "helm.sh/helm/v4/pkg/chart/common.k8sVersionMajor": _MAJOR,
    "helm.sh/helm/v4/pkg/chart/common.k8sVersionMinor": _MINOR,
    "helm.sh/helm/v4/pkg/chart/v2/lint/rules.k8sVersionMajor": _MAJOR,
    "helm.sh/helm/v4/pkg/chart/v2/lint/rules.k8sVersionMinor": _MINOR,
}
GO_ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GOWORK": "off",
    "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
    # The compiler's garbage collector takes a fifth of the time; memory is cheaper.
    "GOGC": "400",
}


@dataclass(frozen=True)
class Group:
    """Programs that are built together."""

    name: str
    packages: tuple[str, ...]
    tags: tuple[str, ...] = ()
    # String variables that the linker sets.
    variables: dict[str, str] = field(default_factory=dict)
    # One program under several names: it acts as the one that it is called by.
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    # Nothing but what asks for it by name needs it.
    only_by_name: bool = False

    @property
    def sources(self) -> Path:
        """Hold the go.mod, the go.sum and any program of our own."""
        return MODULES / self.name


GROUPS = {
    group.name: group
    for group in (
        Group(
            "buildkit",
            ("github.com/moby/buildkit/cmd/buildkitd", "github.com/moby/buildkit/cmd/buildctl"),
            tags=("no_oci_worker",),
        ),
        Group(
            "kubernetes",
            ("./kube", "./pause", "./coredns", "helm.sh/helm/v4/cmd/helm"),
            variables=_KUBERNETES_VARIABLES,
            aliases={
                "kube": (
                    "etcd",
                    "kube-apiserver",
                    "kube-controller-manager",
                    "kube-proxy",
                    "kube-scheduler",
                    "kubectl",
                    "kubelet",
                )
            },
        ),
        Group("kueue", ("sigs.k8s.io/kueue/cmd/kueue",), only_by_name=True),
        Group("kwok", ("sigs.k8s.io/kwok/cmd/kwok",), only_by_name=True),
        Group(
            "rivals",
            ("github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager", "sigs.k8s.io/jobset"),
            only_by_name=True,
        ),
        Group("s3", ("github.com/versity/versitygw/cmd/versitygw",)),
    )
}


EVERYDAY = tuple(name for name, group in GROUPS.items() if not group.only_by_name)


def key(group: Group) -> str:
    """Hash all that decides what a group's programs are."""
    digest = sha256(repr((group, sorted(GO_ENVIRONMENT.items()))).encode())
    for source in sorted(path for path in group.sources.rglob("*") if path.is_file()):
        digest.update(str(source.relative_to(group.sources)).encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def folder(paths: Paths, name: str) -> Path:
    """Return where a group's programs lie, or will lie."""
    group = GROUPS[name]
    return paths.tools / f"{name}-{key(group)}" / "bin"


def ensure(paths: Paths, name: str) -> Path:
    """Build a group's programs unless that was done before; return the folder they lie in."""
    target = folder(paths, name)
    if target.exists():
        return target
    with exclusive(paths.tools / f"{name}.lock"):
        if not target.exists():
            with step(f"building {name}"):
                _build(GROUPS[name], target, paths.tools / f"{name}.log")
    return target


def download(paths: Paths, name: str) -> None:
    """Fetch a group's modules, so that its compiler never waits for the network."""
    if not folder(paths, name).exists():
        group = GROUPS[name]
        # `go mod download` would fetch what no package of ours imports, too.
        run_logged(
            ["go", "list", "-deps", "-tags", ",".join(group.tags), *group.packages],
            paths.tools / f"{name}-download.log",
            directory=group.sources,
            environment=GO_ENVIRONMENT,
        )


def module_folder(name: str, module: str) -> Path:
    """Return where the sources of a pinned module lie, fetched if need be: its manifests belong to its programs."""
    sources = str(GROUPS[name].sources)
    return Path(json.loads(output_of(["go", "-C", sources, "mod", "download", "-json", module]))["Dir"])


def _build(group: Group, target: Path, log: Path) -> None:
    unfinished = target.parent.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "bin").mkdir(parents=True)
    variables = [f"-X {name}={value}" for name, value in group.variables.items()]
    flags = ["-tags", ",".join(group.tags), "-ldflags", " ".join(["-s", "-w", *variables])]
    argv = ["go", "build", *flags, "-o", f"{unfinished / 'bin'}{os.sep}", *group.packages]
    run_logged(argv, log, directory=group.sources, environment=GO_ENVIRONMENT)
    for program, names in group.aliases.items():
        for name in names:
            (unfinished / "bin" / name).symlink_to(program)
    unfinished.rename(target.parent)

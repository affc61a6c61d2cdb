"""The base image: Debian with Python, made from Debian's own packages, as no image registry is asked for one."""

import platform
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

from cluster import containerd
from cluster.commands import output_of, run_logged
from cluster.locking import exclusive
from cluster.oci import MACHINES, Image, write_archive
from cluster.paths import Paths
from cluster.progress import step

RELEASE = "bookworm"
NAME = f"docker.io/local/python:3.11-{RELEASE}"
PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
# None of these is needed to run a program, and each would be in every image.
LEFT_OUT = (
    "./dev/*",
    "./proc/*",
    "./sys/*",
    "./usr/share/doc/*",
    "./usr/share/info/*",
    "./usr/share/man/*",
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./var/log/*",
)
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def ensure(paths: Paths) -> None:
    """Make the base image unless containerd has it, made by this recipe."""
    containerd.start(paths)
    recipe = f"docker.io/local/python:recipe-{recipe_key()}"
    with exclusive(paths.cache / "base-image.lock"):
        if recipe in output_of([*containerd.ctr(paths), "images", "list", "--quiet"]).split():
            return
        with (
            step("making the base image"),
            tempfile.TemporaryDirectory(dir=paths.state, prefix="base-image-") as scratch,
        ):
            _make(Path(scratch), (NAME, recipe), paths)


def recipe_key() -> str:
    """Hash all that decides what is in the image."""
    return sha256(repr((RELEASE, PACKAGES, LEFT_OUT, ENVIRONMENT)).encode()).hexdigest()[:12]


def _make(scratch: Path, names: tuple[str, ...], paths: Paths) -> None:
    root, layer, archive = scratch / "root", scratch / "layer.tar", scratch / "image.tar"
    include = f"--include={','.join(PACKAGES)}"
    debootstrap = ["debootstrap", "--variant=minbase", include, RELEASE, str(root), *mirror(_apt_targets())]
    run_logged(debootstrap, paths.logs / "debootstrap.log")
    excluded = [f"--exclude={pattern}" for pattern in LEFT_OUT]
    output_of(["tar", "--create", "--file", layer, "--numeric-owner", "--directory", root, *excluded, "."])
    shutil.rmtree(root)
    image = Image(layer, MACHINES[platform.machine()], names, command=("python3",), environment=ENVIRONMENT)
    write_archive(image, archive)
    output_of([*containerd.ctr(paths), "images", "import", archive])


def _apt_targets() -> str:
    return output_of(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    )


def mirror(targets: str) -> list[str]:
    """Choose the mirror that this machine's apt uses, if it knows the release; else it is debootstrap's default."""
    for target in targets.splitlines():
        codename, component, address = target.split(maxsplit=2)
        if codename == RELEASE and component == "main":
            return [address]
    return []

"""Images: built from the real Dockerfiles into the kubelet's own store, listed, removed."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from cluster import base_image, buildkit, containerd
from cluster.commands import output_of, run_logged
from cluster.errors import ClusterError
from cluster.paths import Paths
from cluster.progress import step
from cluster.registry_access import proxy_arguments, write_secrets


@dataclass(frozen=True)
class Build:
    """One image to build."""

    file: Path
    tag: str
    context: Path = Path()
    target: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)


def build(paths: Paths, wanted: Build) -> None:
    """Build an image and unpack it where pods start from it."""
    if not wanted.file.is_file():
        raise ClusterError(f"there is no {wanted.file}")
    with ThreadPoolExecutor(1) as beside:
        base = beside.submit(base_image.ensure, paths)
        buildkit.start(paths)
        base.result()
    log = paths.logs / f"build-{wanted.tag.rsplit('/', 1)[-1].replace(':', '-')}.log"
    with (
        step(f"building image {wanted.tag}"),
        tempfile.TemporaryDirectory(dir=paths.state, prefix="secrets-") as folder,
    ):
        secrets = write_secrets(Path(folder), os.environ)
        arguments = {"BASE_IMAGE": base_image.NAME, **proxy_arguments(os.environ), **wanted.arguments}
        run_logged([*buildkit.buildctl(paths), *build_arguments(wanted, arguments, secrets)], log)
    _forget_replaced(paths)


def build_arguments(wanted: Build, arguments: Mapping[str, str], secrets: Mapping[str, Path]) -> list[str]:
    """Write out the command line of one build."""
    options = ["image-resolve-mode=local", f"filename={wanted.file.name}"]
    if wanted.target:
        options.append(f"target={wanted.target}")
    options += [f"build-arg:{name}={value}" for name, value in arguments.items()]
    return [
        "build",
        "--progress=plain",
        "--frontend=dockerfile.v0",
        f"--local=context={wanted.context}",
        f"--local=dockerfile={wanted.file.parent}",
        *(f"--opt={option}" for option in options),
        *(f"--secret=id={name},src={file}" for name, file in secrets.items()),
        f"--output=type=image,name={wanted.tag},unpack=true,compression=uncompressed",
    ]


def names(paths: Paths) -> list[str]:
    """List the images by name."""
    return sorted(name for name, _ in _references(paths) if not name.startswith("sha256:"))


def remove(paths: Paths, tags: Sequence[str]) -> None:
    """Remove images by name."""
    output_of([*containerd.ctr(paths), "images", "remove", *tags])
    _forget_replaced(paths)


def prune(paths: Paths) -> None:
    """Remove the build cache, and images that no name leads to."""
    output_of([*buildkit.buildctl(paths), "prune", "--all"])
    _forget_replaced(paths)


def _forget_replaced(paths: Paths) -> None:
    """Remove what the kubelet's side remembers of images whose name leads to a newer one by now."""
    references = _references(paths)
    named = {digest for name, digest in references if not name.startswith("sha256:")}
    replaced = [name for name, digest in references if name.startswith("sha256:") and digest not in named]
    if replaced:
        output_of([*containerd.ctr(paths), "images", "remove", *replaced])


def _references(paths: Paths) -> list[tuple[str, str]]:
    lines = output_of([*containerd.ctr(paths), "images", "list"]).splitlines()[1:]
    return [(name, digest) for name, _, digest, *_ in (line.split() for line in lines)]

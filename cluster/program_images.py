"""Images that hold one static program of ours: no Dockerfile, no base, no builder."""

import platform
import tempfile
from hashlib import file_digest
from pathlib import Path

from cluster import containerd
from cluster.commands import output_of
from cluster.oci import MACHINES, Image, layer_of_program, write_archive
from cluster.paths import Paths


def name_of(program: Path) -> str:
    """Name an image after its program's content, so that a new build is a new image."""
    with program.open("rb") as content:
        return f"docker.io/local/{program.name}:{file_digest(content, 'sha256').hexdigest()[:12]}"


def ensure(paths: Paths, program: Path, name: str) -> None:
    """Give containerd an image of a program, unless it has it."""
    ctr = containerd.ctr(paths)
    if name in output_of([*ctr, "images", "list", "--quiet"]).split():
        return
    with tempfile.TemporaryDirectory(dir=paths.state, prefix="program-image-") as scratch:
        layer, archive = Path(scratch) / "layer.tar", Path(scratch) / "image.tar"
        layer_of_program(program, layer)
        image = Image(layer, MACHINES[platform.machine()], (name,), entrypoint=(f"/{program.name}",))
        write_archive(image, archive)
        output_of([*ctr, "images", "import", archive])

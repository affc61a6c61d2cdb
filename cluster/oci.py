"""Write an image archive: one layer, one configuration, ready for `ctr images import`."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """What an image of one layer is made of."""

    layer: Path
    architecture: str
    names: Sequence[str]
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def layer_of_program(program: Path, layer: Path) -> None:
    """Write a layer that holds one static program."""
    with tarfile.open(layer, "w") as archive:
        entry = tarfile.TarInfo(program.name)
        entry.size = program.stat().st_size
        entry.mode = 0o755
        with program.open("rb") as content:
            archive.addfile(entry, content)


def write_archive(image: Image, target: Path) -> None:
    """Write the image in the OCI layout, as a tar archive."""
    with image.layer.open("rb") as content:
        layer_digest = file_digest(content, "sha256").hexdigest()
    configuration = _encode(
        {
            "architecture": image.architecture,
            "os": "linux",
            "config": {
                "Entrypoint": list(image.entrypoint),
                "Cmd": list(image.command),
                "Env": [f"{name}={value}" for name, value in image.environment.items()],
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        }
    )
    manifest = _encode(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", configuration),
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": f"sha256:{layer_digest}",
                    "size": image.layer.stat().st_size,
                }
            ],
        }
    )
    described = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    index = _encode(
        {
            "schemaVersion": 2,
            "manifests": [{**described, "annotations": {"io.containerd.image.name": name}} for name in image.names],
        }
    )
    with tarfile.open(target, "w") as archive:
        _add(archive, "oci-layout", _encode({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", index)
        for blob in (configuration, manifest):
            _add(archive, f"blobs/sha256/{sha256(blob).hexdigest()}", blob)
        archive.add(image.layer, f"blobs/sha256/{layer_digest}")


def _encode(document: object) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": f"sha256:{sha256(blob).hexdigest()}", "size": len(blob)}


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))

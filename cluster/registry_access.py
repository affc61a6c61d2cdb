r"""How this machine reaches package registries, handed to a build as secrets: never a layer, never a file of ours.

A Dockerfile mounts what it needs, each of them optional:

    RUN --mount=type=secret,id=ca-bundle,target=/run/secrets/ca-bundle \
        --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
        --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
        --mount=type=secret,id=apt.conf,target=/etc/apt/apt.conf.d/99-build \
        if [ -s /run/secrets/ca-bundle ]; then export PIP_CERT=/run/secrets/ca-bundle SSL_CERT_FILE=$PIP_CERT; fi && …

`ca-bundle` holds the certificates that this machine trusts; the others hold a package index or a proxy, and
are empty where none is set. Proxies come as the build arguments HTTP_PROXY, HTTPS_PROXY and NO_PROXY, which
BuildKit gives to each RUN and keeps out of the image. A base image that lacks these files has nothing to undo.
"""

import configparser
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from cluster.commands import output_of

CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
PIP_OPTIONS = ("index-url", "extra-index-url", "trusted-host", "proxy")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def write_secrets(folder: Path, environment: Mapping[str, str]) -> dict[str, Path]:
    """Write the secrets of one build; return their files by id."""
    home = Path(environment.get("HOME", "/root"))
    contents = {
        "ca-bundle": _ca_bundle(environment),
        "pip.conf": pip_configuration(
            environment, [Path("/etc/pip.conf"), home / ".config/pip/pip.conf", home / ".pip/pip.conf"]
        ),
        "uv.toml": uv_configuration(environment, [home / ".config/uv/uv.toml", Path("/etc/uv/uv.toml")]),
        "apt.conf": _apt_configuration(),
    }
    files = {}
    for name, content in contents.items():
        files[name] = folder / name
        files[name].touch(mode=0o600)
        files[name].write_text(content)
    return files


def proxy_arguments(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies that are set, by the names that BuildKit knows."""
    found = {name: environment.get(name) or environment.get(name.lower()) for name in PROXIES}
    return {name: value for name, value in found.items() if value}


def pip_configuration(environment: Mapping[str, str], files: list[Path]) -> str:
    """Gather the options of pip that say where packages come from; the environment wins, as it does in pip."""
    parser = configparser.RawConfigParser()
    parser.read(files)
    options = {}
    for option in PIP_OPTIONS:
        from_file = parser.get("global", option, fallback=None)
        value = environment.get(f"PIP_{option.upper().replace('-', '_')}", from_file)
        if value:
            options[option] = value.strip().replace("\n", "\n    ")
    return "\n".join(["[global]", *(f"{option} = {value}" for option, value in options.items()), ""])


def uv_configuration(environment: Mapping[str, str], files: list[Path]) -> str:
    """Return uv's settings of this machine, or the default index that the environment names."""
    index = environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")
    if index:
        return f"index-url = {json.dumps(index)}\n"
    return next((file.read_text() for file in files if file.is_file()), "")


def _ca_bundle(environment: Mapping[str, str]) -> str:
    candidates = [environment.get("SSL_CERT_FILE", ""), *CA_BUNDLES]
    return next((Path(file).read_text() for file in candidates if file and Path(file).is_file()), "")


def _apt_configuration() -> str:
    if shutil.which("apt-config") is None:
        return ""
    settings = output_of(["apt-config", "dump"]).splitlines()
    return "".join(f"{setting}\n" for setting in settings if "::Proxy" in setting and setting.startswith("Acquire"))

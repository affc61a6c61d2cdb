"""The certificate of the server: read at the start, and again when it is renewed."""

import ssl
from pathlib import Path

import pytest

from cluster.pki import Authority
from tweetbot_operator.settings import Server, SettingsError
from tweetbot_operator.tls import Certificate


def write(folder: Path, name: str) -> str:
    authority = Authority(folder / name)
    authority.create()
    serving = authority.server("operator-server", ["127.0.0.1"])
    files = {"tls.crt": serving.certificate, "tls.key": serving.key, "ca.crt": authority.root.certificate}
    for file, source in files.items():
        (folder / file).write_bytes(source.read_bytes())
    return authority.root.certificate.read_text()


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(url="https://127.0.0.1:1", tls_dir=tmp_path)


def test_a_renewed_certificate_is_used_without_a_restart(server: Server, tmp_path: Path) -> None:
    first = write(tmp_path, "first")
    certificate = Certificate(server)
    assert (certificate.authority, certificate.reload()) == (first, False)

    second = write(tmp_path, "second")

    assert certificate.reload()
    assert certificate.authority == second != first


def test_a_key_that_does_not_fit_changes_nothing(server: Server, tmp_path: Path) -> None:
    first = write(tmp_path, "first")
    certificate = Certificate(server)
    write(tmp_path, "second")
    (tmp_path / "tls.key").write_bytes((tmp_path / "first" / "ca.key").read_bytes())

    with pytest.raises(ssl.SSLError):
        certificate.reload()

    assert certificate.authority == first


def test_files_that_are_missing_are_named_at_the_start(server: Server) -> None:
    with pytest.raises(SettingsError, match=r"server\.tlsDir"):
        Certificate(server)

"""Keys and certificates, made by openssl: one authority, one certificate for each who speaks to the apiserver."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.commands import output_of

DAYS = "3650"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """An authority whose certificates the whole cluster trusts; what it has made before it does not make again."""

    directory: Path

    @property
    def root(self) -> Certificate:
        """The authority's own certificate."""
        return self._pair("ca")

    def create(self) -> None:
        """Make the authority and the pair that signs service account tokens."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.root.certificate.exists():
            self._request(self.root, "/CN=tweetbot-cluster", ["basicConstraints=critical,CA:TRUE"], [])
        signer = self.service_accounts
        if not signer.certificate.exists():
            output_of(["openssl", "genrsa", "-out", signer.key, "2048"])
            output_of(["openssl", "rsa", "-in", signer.key, "-pubout", "-out", signer.certificate])

    @property
    def service_accounts(self) -> Certificate:
        """The pair that signs service account tokens: here the public part is a bare key."""
        return Certificate(self.directory / "service-accounts.pub", self.directory / "service-accounts.key")

    def client(self, name: str, user: str, group: str = "") -> Certificate:
        """Return a certificate by which a user, in a group, is known."""
        subject = f"/O={group}/CN={user}" if group else f"/CN={user}"
        return self._issue(name, subject, ["extendedKeyUsage=clientAuth"])

    def server(self, name: str, addresses: Sequence[str], hosts: Sequence[str] = ()) -> Certificate:
        """Return a certificate by which a server is known at its addresses and names."""
        names = ",".join([*(f"IP:{address}" for address in addresses), *(f"DNS:{host}" for host in hosts)])
        return self._issue(f"{name}-serving", f"/CN={name}", ["extendedKeyUsage=serverAuth", f"subjectAltName={names}"])

    def _issue(self, name: str, subject: str, extensions: Sequence[str]) -> Certificate:
        pair = self._pair(name)
        if not pair.certificate.exists():
            signed: list[str | Path] = ["-CA", self.root.certificate, "-CAkey", self.root.key]
            self._request(pair, subject, ["basicConstraints=critical,CA:FALSE", *extensions], signed)
        return pair

    def _request(
        self, pair: Certificate, subject: str, extensions: Sequence[str], signed: Sequence[str | Path]
    ) -> None:
        added = [argument for extension in extensions for argument in ("-addext", extension)]
        # Written under another name first: a half-made certificate must not be taken for a whole one.
        unfinished = pair.certificate.with_suffix(".unfinished")
        request = ["openssl", "req", "-x509", "-config", "/dev/null", "-days", DAYS, "-subj", subject, *NEW_KEY]
        output_of([*request, "-keyout", pair.key, "-out", unfinished, *added, *signed])
        unfinished.rename(pair.certificate)

    def _pair(self, name: str) -> Certificate:
        return Certificate(self.directory / f"{name}.crt", self.directory / f"{name}.key")

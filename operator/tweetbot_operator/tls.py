"""The server's certificate, read again when its files change: a renewed one needs no restart."""

import asyncio
import logging
import ssl
from pathlib import Path

from tweetbot_operator.settings import Server, SettingsError

logger = logging.getLogger(__name__)

_RELOAD_SECONDS = 60.0
_FILES = ("tls.crt", "tls.key", "ca.crt")


class Certificate:
    """The TLS context of the server, and the certificate by which pods know it."""

    def __init__(self, server: Server) -> None:
        """Read the files; raise SettingsError if they cannot be used."""
        self._folder: Path = server.tls_dir
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority = ""
        self._read: tuple[bytes, ...] = ()
        try:
            self.reload()
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"server.tlsDir: cannot use tls.crt, tls.key and ca.crt in {self._folder}: {error}"
            ) from error

    def reload(self) -> bool:
        """Use the files as they are now; tell whether they have changed. What cannot be used changes nothing."""
        found = tuple((self._folder / name).read_bytes() for name in _FILES)
        if found == self._read:
            return False
        # Tried apart first: a key that does not fit its certificate must not end up in the server.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*self._chain())
        self.context.load_cert_chain(*self._chain())
        self.authority = found[2].decode()
        self._read = found
        return True

    async def watch(self) -> None:
        """Read the files again from time to time, until cancelled."""
        while True:
            await asyncio.sleep(_RELOAD_SECONDS)
            try:
                if self.reload():
                    logger.info("certificate read again")
            except (OSError, ssl.SSLError) as error:
                logger.warning("certificate not read again reason=%s", error)

    def _chain(self) -> tuple[Path, Path]:
        return self._folder / "tls.crt", self._folder / "tls.key"

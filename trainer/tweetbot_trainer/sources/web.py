"""GET requests to servers that others have chosen: where they may go, how long they may take, how much may come back.

A bot's spec names a Mastodon server, a Bluesky account's own document names its server, and any of them may redirect.
So each hop is resolved once, every address must be public, the connection goes to the address that was checked, and
TLS checks the name. Servers that the platform trusts are exempt.
"""

import ipaddress
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.safe_text import printable
from tweetbot_trainer.sources.rate_limit import RateLimit

logger = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 16 * 1024**2
CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 30.0
"""Longest silence."""
TOTAL_SECONDS: Final = 120.0
"""For the head of an answer, and again for its body."""
MAX_REDIRECTS: Final = 3
_TRIES: Final = 4
_FIRST_PAUSE_SECONDS: Final = 1.0
_PORTION_BYTES: Final = 64 * 1024
_DETAIL_CHARACTERS: Final = 200
_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")

Params = Mapping[str, str | int | None]


class Web:
    """JSON by GET, with pauses where a server asks for them and another try where it fails."""

    def __init__(self, trusted: Collection[str] = (), sleep: Callable[[float], None] = time.sleep) -> None:
        self._session = open_session(trusted, MAX_REDIRECTS)
        self._sleep = sleep
        self._limits: dict[str, RateLimit] = {}

    def get(self, url: str, params: Params | None = None) -> requests.Response:
        """Return the answer, whatever its status below 500 but 429; raises TrainerError if there is none."""
        host = urlsplit(url).netloc
        limit = self._limits.setdefault(host, RateLimit(host, sleep=self._sleep))
        tries = 0
        while True:
            limit.wait()
            try:
                response = self._session.get(url, params=params)
                if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
                    limit.refused(response.headers)
                    continue
                limit.answered(response.headers)
                if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
                    return response
                error = unavailable(host, f"answers HTTP {response.status_code}")
            except requests.RequestException as failure:
                error = unavailable(host, f"cannot be reached: {type(failure).__name__}")
            tries += 1
            if tries == _TRIES:
                raise error
            logger.info("asking again host=%s reason=%s", host, error.message)
            self._sleep(_FIRST_PAUSE_SECONDS * 2 ** (tries - 1))

    def picture(self, url: object, params: Params | None = None) -> bytes | None:
        """Return what lies at the address, None if there is none or it cannot be had: a picture stops nothing."""
        if not isinstance(url, str) or not url:
            return None
        try:
            response = self.get(url, params)
        except (TrainerError, ValueError) as error:
            logger.info("picture not fetched error=%s", type(error).__name__)
            return None
        return response.content if response.status_code == HTTPStatus.OK else None


def open_session(trusted: Collection[str], max_redirects: int) -> requests.Session:
    """Return a session that keeps the rules of this module; `trusted` are origins such as `http://host:port`.

    Proxies and passwords (`.netrc`) of the environment are not used.
    """
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = max_redirects
    adapter = _GuardedAdapter(frozenset(url.rstrip("/").lower() for url in trusted))
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class _GuardedAdapter(HTTPAdapter):
    """Sends to public addresses over TLS, or to trusted origins, and reads bounded answers."""

    def __init__(self, trusted: frozenset[str]) -> None:
        self._trusted = trusted
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Use connections that do not wait for ever for the head of an answer."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Put a checked address in the host's place; certificate and SNI keep the name."""
        host_params, pool_options = super().build_connection_pool_key_attributes(request, verify, cert)
        if not self._is_trusted(request):
            host = host_params["host"]
            host_params["host"] = public_address(host, host_params["port"] or 443)
            pool_options |= {"server_hostname": host.strip("[]"), "assert_hostname": host.strip("[]")}
        return host_params, pool_options

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send, then read the whole body within its bounds."""
        parts = urlsplit(request.url or "")
        if parts.scheme != "https" and not self._is_trusted(request):
            raise _refused(f"{parts.hostname} is not asked over TLS")
        request.headers["Host"] = parts.netloc.rpartition("@")[2]
        options |= {"stream": True, "timeout": (CONNECT_SECONDS, READ_SECONDS)}
        response = super().send(request, *arguments, **options)
        try:
            response._content = _read(response.raw, parts.netloc)  # noqa: SLF001 - what `content` would read, bounded
        finally:
            response.raw.close()
        return response

    def _is_trusted(self, request: requests.PreparedRequest) -> bool:
        parts = urlsplit(request.url or "")
        return f"{parts.scheme}://{parts.netloc}".lower() in self._trusted


def _read(raw: urllib3.BaseHTTPResponse, host: str) -> bytes:
    """Return the decoded body; raises if it has no end in sight."""
    deadline = time.monotonic() + TOTAL_SECONDS
    body = bytearray()
    try:
        while portion := raw.read1(_PORTION_BYTES, decode_content=True):
            body += portion
            if len(body) > MAX_BODY_BYTES:
                raise unusable(host, f"answers with more than {MAX_BODY_BYTES:,} bytes")
            if time.monotonic() > deadline:
                raise unavailable(host, f"needs more than {TOTAL_SECONDS:.0f} seconds for one answer")
    except urllib3.exceptions.DecodeError:
        raise unusable(host, "answers with damaged compression") from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise unavailable(host, f"broke off: {type(error).__name__}") from error
    return bytes(body)


@contextmanager
def _head_in_time(sock: socket.socket) -> Iterator[None]:
    """Shut the connection if the head of the answer has not come within a time, however slowly it drips."""
    timer = threading.Timer(TOTAL_SECONDS, _shut_down, [sock])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        logger.debug("connection was closed already")


class _HttpConnection(urllib3.connection.HTTPConnection):
    def getresponse(self) -> Any:
        with _head_in_time(self.sock):
            return super().getresponse()


class _HttpsConnection(urllib3.connection.HTTPSConnection):
    def getresponse(self) -> Any:
        with _head_in_time(self.sock):
            return super().getresponse()


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


def public_address(host: str, port: int) -> str:
    """Return an address of the host; raises SourceAddressRefused unless all of them are public."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise unavailable(host, "is not known to the name servers") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not is_public(address):
            raise _refused(f"{host} has the address {address}, which is not a public one")
    return addresses[0]


def is_public(address: str) -> bool:
    """Tell whether this is an address of the public internet, and not another kind of address in disguise."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        elif ip not in _GLOBAL_UNICAST or ip.sixtofour or ip.teredo:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def parse_json(response: requests.Response) -> Any:
    """Return the JSON value of an answer; raises SourceAnswerUnusable if it is none."""
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        raise unusable(host_of(response), f"answers HTTP {response.status_code} with what is not JSON") from None


def json_object(response: requests.Response) -> dict[str, Any]:
    """Return the JSON object of an answer; raises SourceAnswerUnusable if it is none."""
    value = parse_json(response)
    if not isinstance(value, dict):
        raise unusable(host_of(response), "answers with something else than a JSON object")
    return value


def error_object(response: requests.Response) -> dict[str, Any]:
    """Return the JSON object that explains a refusal; an empty one if there is none."""
    try:
        return json_object(response)
    except TrainerError:
        return {}


def quoted(text: object) -> str:
    """Return what a server said, short and on one line."""
    return " ".join(printable(str(text)).split())[:_DETAIL_CHARACTERS]


def host_of(response: requests.Response) -> str:
    """Return the name of the server that answered."""
    return urlsplit(response.url).netloc


def unavailable(host: str, problem: str) -> TrainerError:
    """Return the error after which another attempt may help."""
    return TrainerError(Reason.SOURCE_UNAVAILABLE, f"{host} {problem}")


def unusable(host: str, problem: str) -> TrainerError:
    """Return the error for a server that is not what the source says."""
    return TrainerError(Reason.SOURCE_ANSWER_UNUSABLE, f"{host} {problem}")


def _refused(problem: str) -> TrainerError:
    return TrainerError(Reason.SOURCE_ADDRESS_REFUSED, problem)

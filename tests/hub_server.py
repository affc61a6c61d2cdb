"""The Hugging Face Hub on loopback, as far as a push needs it: repositories, large files, commits."""

import base64
import http.server
import json
import threading
from dataclasses import dataclass, field

TOKEN = "hf_a-secret-token"


@dataclass
class Repository:
    """A model repository."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)


class HubServer:
    """The server; `failures` are HTTP statuses that the next requests get instead of answers."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.failures: list[int] = []
        self.requests: list[str] = []
        self._objects: dict[str, bytes] = {}
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, token: str | None, body: bytes) -> tuple[int, dict[str, object]]:
        """Return status and JSON of an answer."""
        self.requests.append(f"{method} {path}")
        if path.startswith("/objects/"):
            self._objects[path.rsplit("/", 1)[1]] = body
            return 200, {}
        if path == "/verify" or not path.startswith(("/api/repos", "/api/models", "/bots/")):
            return 200, {}
        if token != f"Bearer {TOKEN}":
            return 401, {"error": "Invalid username or password."}
        if self.failures:
            return self.failures.pop(0), {"error": "made up"}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path.endswith("/objects/batch"):
            return 200, self._batch(json.loads(body))
        name = "/".join(path.split("/")[3:5])
        if "/preupload/" in path:
            modes = {True: "lfs", False: "regular"}
            files = [file["path"] for file in json.loads(body)["files"]]
            described = [
                {"path": path, "uploadMode": modes[path.endswith(".safetensors")], "shouldIgnore": False}
                for path in files
            ]
            return 200, {"files": described}
        return self._commit(name, body)

    def _create(self, request: dict[str, str]) -> tuple[int, dict[str, object]]:
        name = f"{request['organization']}/{request['name']}"
        url = {"url": f"{self.url}/{name}", "name": name, "id": name}
        if name in self.repositories:
            return 409, {"error": "You already created this model repo", **url}
        self.repositories[name] = Repository(private=request.get("visibility") == "private")
        return 200, dict(url)

    def _batch(self, request: dict[str, list[dict[str, str]]]) -> dict[str, object]:
        objects = [
            {
                **item,
                "actions": {
                    "upload": {"href": f"{self.url}/objects/{item['oid']}"},
                    "verify": {"href": f"{self.url}/verify"},
                },
            }
            for item in request["objects"]
        ]
        return {"transfer": "basic", "objects": objects}

    def _commit(self, name: str, body: bytes) -> tuple[int, dict[str, object]]:
        repository = self.repositories[name]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                repository.commits.append(value["summary"])
            elif line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repository.files[value["path"]] = self._objects[value["oid"]]
        commit = f"commit-{len(repository.commits)}"
        return 200, {"commitUrl": f"{self.url}/{name}/commit/{commit}", "commitOid": commit, "success": True}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, answer = self.hub.answer(self.command, self.path, self.headers.get("Authorization"), body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


for _method in ("GET", "PUT", "POST"):
    setattr(_Handler, f"do_{_method}", _Handler.handle_any)

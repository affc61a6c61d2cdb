"""A W&B server on loopback, as far as its client needs one: runs that are made and resumed, histories, artifacts."""

import contextlib
import http.server
import itertools
import json
import re
import threading
from dataclasses import dataclass, field
from typing import Any

Facts = dict[str, Any]


@dataclass
class Run:
    """What the server knows of one run."""

    name: str
    display_name: str | None = None
    job_type: str | None = None
    config: Facts = field(default_factory=dict)
    summary: Facts = field(default_factory=dict)
    history: dict[int, Facts] = field(default_factory=dict)
    """By line number, as the client streams it."""
    exit_code: int | None = None
    is_preempting: bool = False
    used: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def series(self, metric: str) -> list[tuple[int, float]]:
        """Return (step, value) of one metric."""
        return [(line["_step"], line[metric]) for _, line in sorted(self.history.items()) if metric in line]


@dataclass
class Artifact:
    """A version of an artifact."""

    id: str
    name: str
    kind: str
    digest: str
    metadata: Facts
    is_committed: bool = False
    files: dict[str, bytes] = field(default_factory=dict)


class WandbServer:
    """The server; `runs` by id and `artifacts` by their own are what tests look at."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.artifacts: dict[str, Artifact] = {}
        self.unknown: list[str] = []
        self._files: dict[str, tuple[dict[str, bytes], str]] = {}
        self._manifests: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"wandb": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def artifacts_of(self, ids: list[str]) -> dict[str, Artifact]:
        """Return the artifacts with these ids by their kinds."""
        return {self.artifacts[key].kind: self.artifacts[key] for key in ids}

    # GraphQL, by the name of the operation

    def answer(self, query: str, variables: Facts) -> Facts:
        match = re.search(r"(?:query|mutation)\s+(\w+)", query)
        operation = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", match[1]).lower() if match else ""
        with self._lock:
            method = getattr(self, f"_on_{operation}", None)
            if method is None:
                self.unknown.append(operation)
                return {}
            return method(variables)

    def _on_viewer(self, _: Facts) -> Facts:
        return {
            "viewer": {"id": "u", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
        }

    def _on_run_resume_status(self, variables: Facts) -> Facts:
        run = self.runs.get(variables["name"])
        project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "me"}}
        return {"model": {**project, "bucket": run and self._bucket(run)}}

    def _bucket(self, run: Run) -> Facts:
        tail = [json.dumps(run.history[number]) for number in sorted(run.history)[-1:]]
        return {
            "id": run.name, "name": run.name, "displayName": run.display_name,
            "summaryMetrics": json.dumps(run.summary),
            "logLineCount": 0, "historyLineCount": len(run.history), "eventsLineCount": 0,
            "historyTail": json.dumps(tail), "eventsTail": "[]", "config": json.dumps(run.config), "tags": [],
            "notes": "", "wandbConfig": json.dumps({"t": 1}),
        }  # fmt: skip

    def _on_upsert_bucket(self, variables: Facts) -> Facts:
        name = variables["name"]
        is_new = name not in self.runs
        run = self.runs.setdefault(name, Run(name))
        run.display_name = variables.get("displayName") or run.display_name
        run.job_type = variables.get("jobType") or run.job_type
        run.config |= json.loads(variables.get("config") or "{}")
        if variables.get("summaryMetrics"):
            run.summary = json.loads(variables["summaryMetrics"])
        project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "me"}}
        bucket = {"id": name, "name": name, "displayName": run.display_name, "description": "", "config": "{}",
                  "sweepName": None, "project": project, "historyLineCount": len(run.history)}  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": is_new}}

    def _on_create_run_files(self, variables: Facts) -> Facts:
        run = self.runs[variables["run"]]
        files = [{"name": name, "uploadUrl": self._place(run.files, name)} for name in variables["files"]]
        return {"createRunFiles": {"runID": run.name, "uploadHeaders": [], "files": files}}

    def _on_artifact_type(self, variables: Facts) -> Facts:
        name = variables["name"].partition(":")[0]
        found = next((artifact for artifact in self.artifacts.values() if artifact.name == name), None)
        return {"project": {"artifact": found and {"artifactType": {"name": found.kind}}}}

    def _on_artifact_by_id(self, variables: Facts) -> Facts:
        artifact = self.artifacts[variables["id"]]
        entity = {"__typename": "Project", "id": "p", "internalId": "1", "name": "p", "entity": {"name": "me"}}
        sequence = {"__typename": "ArtifactSequence", "name": artifact.name, "project": entity}
        return {
            "artifact": {
                "__typename": "Artifact", "id": artifact.id, "artifactSequence": sequence, "versionIndex": 0,
                "artifactType": {"name": artifact.kind}, "description": "", "metadata": json.dumps(artifact.metadata),
                "ttlDurationSeconds": -2, "ttlIsInherited": True, "tags": [], "historyStep": None,
                "state": "COMMITTED", "size": 1, "digest": artifact.digest, "commitHash": "c", "fileCount": 1,
                "createdAt": "2026-11-23T00:00:00Z", "updatedAt": None, "aliases": [],
            }
        }  # fmt: skip

    def _on_create_artifact(self, variables: Facts) -> Facts:
        given = variables.get("input") or variables
        names = given.get("artifactCollectionNames") or [given.get("artifactCollectionName")]
        found = next((a for a in self.artifacts.values() if (a.name, a.digest) == (names[0], given["digest"])), None)
        artifact = found or Artifact(
            id=f"artifact-{next(self._numbers)}", name=names[0], kind=given["artifactTypeName"],
            digest=given["digest"], metadata=json.loads(given.get("metadata") or "{}"),
        )  # fmt: skip
        self.artifacts[artifact.id] = artifact
        if given.get("runName") and artifact.id not in self.runs[given["runName"]].logged:
            self.runs[given["runName"]].logged.append(artifact.id)
        state = "COMMITTED" if artifact.is_committed else "PENDING"
        sequence = {"id": "s", "latestArtifact": {"id": artifact.id, "versionIndex": 0}}
        return {"createArtifact": {"artifact": {"id": artifact.id, "state": state, "artifactSequence": sequence}}}

    def _on_create_artifact_manifest(self, variables: Facts) -> Facts:
        given = variables.get("input") or variables
        artifact = self.artifacts[given["artifactID"]]
        manifest = f"manifest-{next(self._numbers)}"
        self._manifests[manifest] = artifact.id
        file = {"id": "f", "name": "manifest", "displayName": "manifest", "uploadHeaders": []}
        url = self._place({}, "manifest") if given.get("includeUpload", True) else None
        return {"createArtifactManifest": {"artifactManifest": {"id": manifest, "file": {**file, "uploadUrl": url}}}}

    def _on_create_artifact_files(self, variables: Facts) -> Facts:
        given = variables.get("input") or variables
        edges = []
        for spec in given["artifactFiles"]:
            artifact = self.artifacts[spec["artifactID"]]
            place = {"uploadUrl": self._place(artifact.files, spec["name"]), "uploadHeaders": [], "storagePath": "x"}
            names = {"id": "f", "name": spec["name"], "displayName": spec["name"], "artifact": {"id": artifact.id}}
            edges.append({"node": {**names, **place, "uploadMultipartUrls": None}})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _on_commit_artifact(self, variables: Facts) -> Facts:
        given = variables.get("input") or variables
        artifact = self.artifacts[given["artifactID"]]
        artifact.is_committed = True
        return {"commitArtifact": {"artifact": {"id": artifact.id, "digest": artifact.digest}}}

    def _on_use_artifact(self, variables: Facts) -> Facts:
        given = variables.get("input") or variables
        run = self.runs[given["runName"]]
        key = given["artifactID"]
        run.used.append(key)
        return {"useArtifact": {"artifact": {"id": key, "digest": "", "description": "", "state": "COMMITTED"}}}

    # Files and streams

    def _place(self, files: dict[str, bytes], name: str) -> str:
        number = str(next(self._numbers))
        self._files[number] = (files, name)
        return f"{self.url}/storage/{number}"

    def store(self, number: str, data: bytes) -> None:
        with self._lock:
            files, name = self._files[number]
            files[name] = data

    def stream(self, name: str, facts: Facts) -> None:
        with self._lock:
            run = self.runs[name]
            for file, chunk in (facts.get("files") or {}).items():
                lines = (
                    [json.loads(line) for line in chunk["content"]] if file.endswith((".jsonl", "summary.json")) else []
                )
                if file == "wandb-history.jsonl":
                    run.history |= dict(enumerate(lines, start=chunk["offset"]))
                if file == "wandb-summary.json" and lines:
                    run.summary = lines[-1]
            if facts.get("complete"):
                run.exit_code = facts["exitcode"]
            run.is_preempting |= bool(facts.get("preempting"))


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wandb: WandbServer

    def handle_any(self) -> None:
        body = self._body()
        answer: Facts = {}
        if self.path == "/graphql":
            request = json.loads(body)
            answer = {"data": self.wandb.answer(request["query"], request.get("variables") or {})}
        elif self.path.startswith("/storage/"):
            self.wandb.store(self.path.rsplit("/", 1)[1], body)
        elif self.path.endswith("/file_stream"):
            self.wandb.stream(self.path.split("/")[-2], json.loads(body))
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def handle(self) -> None:
        # A client that is killed takes its connections with it.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


for _method in ("GET", "PUT", "POST"):
    setattr(_Handler, f"do_{_method}", _Handler.handle_any)

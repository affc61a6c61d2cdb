"""One namespace of the local cluster, and what a test does there: upload, apply, wait, look."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from demo.environment import Environment
from demo.install import demo_values, install_operator
from demo.posts import make_posts, read_sayings, write_archive
from demo.storage import (
    MODELS_BUCKET,
    OUTPUT_BUCKET,
    TWEETS_BUCKET,
    connect,
    list_objects,
    make_buckets,
    split_uri,
    upload_folder,
)
from demo.watch import read_bot
from tests.tiny_gpt2 import save_tiny_gpt2

POLL_SECONDS = 0.5
PATIENCE_SECONDS = 240
TINY_MODEL = "s3://models/tiny-gpt2"
SMALL_TRAINING = {"epochs": 2, "blockSize": 64}


def install_with_tiny_model(environment: Environment, folder: Path) -> dict[str, Any]:
    """Install the operator with a tiny base model, which the folder is for; return the chart's values."""
    client = connect(environment)
    make_buckets(client)
    upload_folder(client, save_tiny_gpt2(folder), MODELS_BUCKET, TINY_MODEL.rsplit("/", 1)[1])
    values = demo_values(environment, TINY_MODEL)
    install_operator(environment, values)
    return values


@dataclass(frozen=True)
class Bots:
    """The bots of one namespace."""

    environment: Environment
    namespace: str
    values: dict[str, Any]
    """The chart's values that the operator was installed with."""

    @property
    def s3(self) -> Any:
        return connect(self.environment)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.environment.run("kubectl", "-n", self.namespace, *arguments, stdin=stdin)

    # Before

    def make_secret(self, name: str, data: dict[str, str]) -> None:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(secret))

    def upload(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=TWEETS_BUCKET, Key=f"{self.namespace}/{key}", Body=body)

    def upload_archive(self, handle: str, posts: int) -> None:
        """Upload an archive with so many posts to keep (and retweets and short ones, unless it is 0)."""
        path = Path(f"/tmp/{self.namespace}-{handle}.zip")
        tweets = make_posts(read_sayings(), posts) if posts else []
        write_archive(path, handle.replace("-", "_"), handle.title(), tweets)
        try:
            self.upload(f"{handle}.zip", path.read_bytes())
        finally:
            path.unlink()

    def apply(self, name: str, **spec: Any) -> None:
        """Apply a small bot that reads the archive of its own name; `spec` adds to it or replaces."""
        self.apply_all({name: spec})

    def apply_all(self, specs: dict[str, dict[str, Any]]) -> None:
        """Apply several such bots at once."""
        bots = [self._build(name, **spec) for name, spec in specs.items()]
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(bots))

    def edit(self, name: str, **spec: Any) -> None:
        self.kubectl("patch", "tweetbot", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def _build(self, name: str, **spec: Any) -> dict[str, Any]:
        whole = {
            "handles": [name.replace("-", "_")],
            "source": {"archive": {"uri": f"s3://{TWEETS_BUCKET}/{self.namespace}/{name}.zip"}},
            **spec,
            "training": SMALL_TRAINING | spec.get("training", {}),
        }
        return {"apiVersion": "tweetbot.dev/v1alpha1", "kind": "TweetBot", "metadata": {"name": name}, "spec": whole}

    @contextmanager
    def operator_values(self, values: dict[str, Any]) -> Iterator[None]:
        """Run the operator with other chart values for a while."""
        install_operator(self.environment, self.values, values)
        try:
            yield
        finally:
            install_operator(self.environment, self.values)

    # After

    def wait_until(self, name: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the bot as soon as the condition holds; fail with its status if it never does."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            bot = read_bot(self.environment, self.namespace, name)
            if holds(bot):
                return bot
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"{name} did not get there; its status: {json.dumps(bot.get('status'), indent=1)}")

    def wait_until_ended(self, name: str) -> dict[str, Any]:
        return self.wait_until(name, lambda bot: bot["status"].get("phase") in {"Succeeded", "Failed"})

    def condition(self, bot: dict[str, Any], kind: str) -> dict[str, Any]:
        return next((item for item in bot["status"].get("conditions", []) if item["type"] == kind), {})

    def reason(self, bot: dict[str, Any], kind: str) -> str | None:
        return self.condition(bot, kind).get("reason")

    def pods(self, name: str, kind: str) -> list[dict[str, Any]]:
        pods = json.loads(self.kubectl("get", "pods", "-l", f"tweetbot.dev/job-kind={kind}", "-o", "json"))["items"]
        return [pod for pod in pods if pod["metadata"]["name"].startswith(name)]

    def jobs(self, kind: str) -> dict[str, list[str]]:
        """Return the Jobs of a kind that are there, with the bots of each."""
        jobs = json.loads(self.kubectl("get", "jobs", "-l", f"tweetbot.dev/job-kind={kind}", "-o", "json"))["items"]
        return {
            job["metadata"]["name"]: [owner["name"] for owner in job["metadata"]["ownerReferences"]] for job in jobs
        }

    def names(self, kinds: str) -> list[str]:
        """Return what is left of these kinds, less what Kubernetes itself puts into each namespace."""
        listed = self.kubectl("get", kinds, "-o", "name").split()
        return [name for name in listed if name != "configmap/kube-root-ca.crt"]

    def jobs_ever_made(self, name: str) -> dict[str, int]:
        """Count the Jobs that got a pod, by kind, from the Job controller's Events: deleted Jobs count too."""
        events = json.loads(self.kubectl("get", "events", "-o", "json"))["items"]
        jobs = {
            (event["involvedObject"]["name"], event["involvedObject"]["uid"])
            for event in events
            if event["reason"] == "SuccessfulCreate" and event["involvedObject"]["kind"] == "Job"
        }
        return dict(Counter(job.rsplit("-", 2)[1] for job, _ in jobs if job.startswith(f"{name}-")))

    def operator_pid(self) -> int:
        """Return the process id of the operator's container, which the kubelet runs on this machine."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                command = (entry / "cmdline").read_bytes().split(b"\0")
                if any(part.endswith(b"/tweetbot-operator") for part in command):
                    return int(entry.name)
        raise AssertionError("no operator runs on this machine")

    def keys(self, bucket: str, prefix: str) -> list[str]:
        return [str(item["Key"]) for item in list_objects(self.s3, bucket, prefix)]

    def keys_of(self, name: str, part: str) -> list[str]:
        """Return the keys of what a bot's runs have stored that have this part."""
        return [key for key in self.keys(OUTPUT_BUCKET, f"{self.namespace}/{name}") if part in key]

    def read_log(self, name: str, attempt: str) -> str:
        """Return the stored log of an attempt, `train-2`."""
        (key,) = self.keys_of(name, f"/logs/{attempt}.txt")
        text: str = self.s3.get_object(Bucket=OUTPUT_BUCKET, Key=key)["Body"].read().decode()
        return text

    def download_model(self, bot: dict[str, Any], folder: Path) -> Path:
        bucket, prefix = split_uri(bot["status"]["outputs"]["modelURI"])
        assert bucket == OUTPUT_BUCKET
        for key in self.keys(bucket, prefix.rstrip("/")):
            self.s3.download_file(bucket, key, str(folder / key.rsplit("/", 1)[1]))
        return folder

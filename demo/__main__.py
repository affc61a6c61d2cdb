"""`make demo`: from nothing to posts by a freshly trained bot; `make demo-down`: the way back.

BASE_MODEL=gpt2 takes a model from the Hub, where a network is; the default is a small pretrained model that comes
inside a Python package. KUBECONFIG names a cluster to use instead of the local one.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cluster.errors import ClusterError
from demo.base_model import cached_model
from demo.environment import REPOSITORY, DemoError, Environment, local_cluster, users_cluster
from demo.install import RELEASE, SYSTEM_NAMESPACE, demo_values, install_operator, make_namespace
from demo.posts import install_fortunes, make_posts, read_sayings, write_archive
from demo.report import print_report
from demo.storage import MODELS_BUCKET, TWEETS_BUCKET, connect, make_buckets, upload_folder
from demo.watch import show_progress

NAMESPACE, BOT, EXAMPLE = "bots", "thisisaito", "examples/tweetbot.yaml"
KEPT_POSTS = 200
TRAINING_TIMEOUT_SECONDS = 900


def main() -> int:
    """Run the verb; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("verb", choices=("up", "down"))
    try:
        (up if parser.parse_args().verb == "up" else down)()
    except (DemoError, ClusterError) as error:
        print(f"[demo] {error}", file=sys.stderr)
        return 1
    return 0


def up() -> None:
    """Bring everything up, train the bot, show what came of it."""
    started = time.monotonic()
    environment, base_model = _prepare_machine()
    client = connect(environment)
    say("uploading the posts and the base model to S3")
    make_buckets(client)
    if isinstance(base_model, Path):
        upload_folder(client, base_model, MODELS_BUCKET, base_model.name)
        base_model = f"s3://{MODELS_BUCKET}/{base_model.name}"
    _upload_posts(environment)
    say("installing the operator with Helm")
    install_operator(environment, demo_values(environment, base_model))
    make_namespace(environment, NAMESPACE)
    say(f"kubectl apply -f {EXAMPLE}")
    environment.run("kubectl", "delete", "tweetbot", BOT, "-n", NAMESPACE, "--ignore-not-found", "--timeout=60s")
    environment.run("kubectl", "apply", "-n", NAMESPACE, "-f", EXAMPLE)
    bot = show_progress(environment, NAMESPACE, BOT, TRAINING_TIMEOUT_SECONDS)
    print_report(environment, NAMESPACE, bot)
    say(f"done in {time.monotonic() - started:.0f} s")


def down() -> None:
    """Remove the demo; with the local cluster, everything of it but the cached tools and images."""
    environment = users_cluster()
    if environment is None:
        _make("cluster-down")
        return
    environment.run("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found")
    environment.run("helm", "uninstall", RELEASE, "-n", SYSTEM_NAMESPACE, "--ignore-not-found")
    environment.run("kubectl", "delete", "namespace", SYSTEM_NAMESPACE, "--ignore-not-found")


def say(message: str) -> None:
    """Print one step of the demo."""
    print(f"[demo] {message}", flush=True)


def _prepare_machine() -> tuple[Environment, Path | str]:
    """Return the cluster to use and the base model's folder or name; what takes long is done side by side."""
    users = users_cluster()
    hub_name = os.environ.get("BASE_MODEL")
    with ThreadPoolExecutor() as pool:
        model = pool.submit(lambda: hub_name or cached_model())
        steps = [pool.submit(install_fortunes)]
        if users is None:
            steps.append(pool.submit(_make, "cluster-with-images"))
        for step in steps:
            step.result()
        return users or local_cluster(), model.result()


def _upload_posts(environment: Environment) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archive.zip"
        write_archive(path, BOT, "Fortune Cookie", make_posts(read_sayings(), KEPT_POSTS))
        connect(environment).upload_file(str(path), TWEETS_BUCKET, f"{BOT}.zip")


def _make(verb: str) -> None:
    if subprocess.run(["make", "--no-print-directory", verb], cwd=REPOSITORY, check=False).returncode:
        raise DemoError(f"make {verb} failed; its last lines are above")


if __name__ == "__main__":
    sys.exit(main())

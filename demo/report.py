"""What the demo shows at its end: the resource, the data table, posts by the bot, what lies in S3."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.environment import DemoError, Environment
from demo.storage import connect, list_objects, mismatches, split_uri

POSTS_SHOWN = 5
_ROWS = (
    ("Tweets downloaded", "downloaded"),
    ("Retweets", "retweets"),
    ("Short tweets", "short"),
    ("Tweets kept", "kept"),
)


def print_report(environment: Environment, namespace: str, bot: dict[str, Any]) -> None:
    """Print the end of a Complete bot; raise DemoError if it failed or if S3 does not hold what it says."""
    console = Console()
    name, status = bot["metadata"]["name"], bot["status"]
    print(environment.run("kubectl", "get", "tb", "-n", namespace, "-o", "wide"))
    if status["phase"] != "Succeeded":
        failure = status.get("failure", {})
        raise DemoError(f"the bot failed: {failure.get('reason')}: {failure.get('message')}")
    console.print(_data_table(status["data"]))
    _print_posts(console, environment, status)
    _print_objects(console, environment, status)
    console.print(
        f'\nLook further:\n  eval "$(python3 -m cluster env)"\n  kubectl describe tb {name} -n {namespace}'
        f"\n  kubectl explain tweetbot.spec --recursive\n  make demo-down",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _data_table(data: list[dict[str, Any]]) -> Table:
    table = Table("Data", *(handle.get("displayName") or f"@{handle['handle']}" for handle in data))
    for title, key in _ROWS:
        table.add_row(title, *(str(handle[key]) for handle in data))
    return table


def _print_posts(console: Console, environment: Environment, status: dict[str, Any]) -> None:
    bucket, key = split_uri(status["outputs"]["manifestURI"])
    body = connect(environment).get_object(Bucket=bucket, Key=key.replace("manifest.json", "samples.json"))["Body"]
    posts = [post for sample in json.loads(body.read()) for post in sample["posts"]]
    console.print("\nPosts by the bot:")
    for post in posts[:POSTS_SHOWN]:
        console.print(f"  • {post}", highlight=False, markup=False, soft_wrap=True)
    if len(posts) < POSTS_SHOWN:
        raise DemoError(f"only {len(posts)} posts were written")


def _print_objects(console: Console, environment: Environment, status: dict[str, Any]) -> None:
    client = connect(environment)
    outputs = status["outputs"]
    bucket, key = split_uri(outputs["manifestURI"])
    prefix = key.rsplit("/", 1)[0]
    console.print(f"\nIn s3://{bucket}/{prefix}:")
    for item in list_objects(client, bucket, prefix):
        console.print(f"  {item['Size']:>12,}  {str(item['Key'])[len(prefix) + 1 :]}", highlight=False, soft_wrap=True)
    wrong = mismatches(client, outputs["manifestURI"], outputs["manifestSHA256"])
    if wrong:
        raise DemoError(f"these files differ from the manifest: {', '.join(wrong)}")
    console.print("  every file matches its hash in manifest.json")

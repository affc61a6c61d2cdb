"""The process that pushes a folder to the Hugging Face Hub: one JSON object in, one out.

A process of its own, so that a push that hangs can be ended. Reads `folder`, `repo`, `private` and `message` on
standard input; writes `url` and `revision`, or `error` and `status` (the HTTP status, if there was an answer).
"""

import json
import os
import sys

# Large files go by the Hub's older, plain HTTP protocol: its own client library for the other one cannot be interrupted
# and knows no time limit.
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

from huggingface_hub import HfApi


def push(folder: str, repo: str, message: str, *, private: bool) -> dict[str, str]:
    """Make the repository if there is none, and commit the folder; the same files again change nothing."""
    api = HfApi()
    url = api.create_repo(repo, private=private, exist_ok=True)
    commit = api.upload_folder(repo_id=url.repo_id, folder_path=folder, commit_message=message)
    return {"url": str(url), "revision": commit.oid}


def main() -> None:
    """Do what standard input says."""
    try:
        answer: dict[str, object] = dict(push(**json.load(sys.stdin)))
    except Exception as error:  # noqa: BLE001 - told to the other end, which decides
        response = getattr(error, "response", None)
        answer = {"error": f"{type(error).__name__}: {error}", "status": getattr(response, "status_code", None)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()

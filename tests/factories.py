"""Objects that tests need, made with one call that names only what the test is about."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tweetbot_api.names import END_OF_TEXT
from tweetbot_api.runconfig import BotIdentity, RunConfig
from tweetbot_api.types import TweetBot

UID = "5f1c3c1e-1111-4222-8333-444455556666"


def make_tweetbot(name: str = "thisisaito", metadata: Mapping[str, Any] | None = None, **spec: Any) -> TweetBot:
    """Return a valid TweetBot; keyword arguments are fields of its spec, by their names in YAML."""
    return TweetBot.model_validate(
        {
            "apiVersion": "tweetbot.dev/v1alpha1",
            "kind": "TweetBot",
            "metadata": {"name": name, "namespace": "bots", "uid": UID, **(metadata or {})},
            "spec": {
                "handles": [name],
                "source": {"archive": {"uri": "s3://tweets/{handle}.zip"}},
                **spec,
            },
        }
    )


def make_run_config(
    *, handles: Sequence[str] = ("thisisaito",), training: Mapping[str, Any] | None = None, **fields: Any
) -> RunConfig:
    """Return a resolved run; `training` adds to a seeded recipe, other arguments are fields by their aliases."""
    return RunConfig.model_validate(
        {
            "bot": make_bot_identity().to_wire(),
            "handles": list(handles),
            "source": {"archive": {"uri": "s3://tweets/{handle}.zip"}},
            "baseModel": {"name": "gpt2"},
            "training": {"seed": 7, **(training or {})},
            "generation": {},
            "output": {"bucket": "bots", "prefix": "bots/thisisaito/0123456789"},
            **fields,
        }
    )


def make_bot_identity(name: str = "thisisaito", attempt: int = 1) -> BotIdentity:
    """Return the identity that a bot's messages carry."""
    return BotIdentity(namespace="bots", name=name, uid=f"uid-of-{name}", run_id="0123456789", attempt=attempt)


def make_sentences(count: int, words: int = 8) -> list[str]:
    """Return sentences that all differ and that cleaning keeps as they are."""
    vocabulary = ("moon", "tea", "river", "stone", "cloud", "train", "garden", "winter", "letter", "harbour")
    return [
        " ".join([f"note {number}", *(vocabulary[(number * 7 + index * 3) % 10] for index in range(words))])
        for number in range(count)
    ]


def make_archive(
    path: Path,
    texts: Sequence[str | Mapping[str, Any]],
    *,
    username: str | None = "thisisaito",
    display_name: str = "aito.eth",
    member: str = "data/tweets.js",
    others: Mapping[str, str] | None = None,
) -> Path:
    """Write an archive as X sends it; an item is a text or the fields of a tweet."""
    tweets = [
        {"id_str": str(number), "full_text": item} if isinstance(item, str) else item
        for number, item in enumerate(texts, start=1)
    ]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if username:
            account = {"account": {"username": username, "accountDisplayName": display_name}}
            archive.writestr("data/account.js", ytd("account", [account]))
        archive.writestr(member, ytd("tweets", [{"tweet": tweet} for tweet in tweets]))
        for name, content in (others or {}).items():
            archive.writestr(name, content)
    return path


def ytd(kind: str, items: Sequence[Mapping[str, Any]], part: int = 0, end: str = "") -> str:
    """Return the content of one of the archive's data files."""
    return f"window.YTD.{kind}.part{part} = {json.dumps(list(items), ensure_ascii=False, indent=2)}{end}"


def make_jsonl(path: Path, lines: Sequence[Any]) -> Path:
    """Write one JSON value per line."""
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def make_base_model(folder: Path, *, context: int = 1024, without: str | None = None) -> Path:
    """Write what the prepare half needs of a base model: tokenizer, configuration, and a file named as weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=[END_OF_TEXT], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(make_sentences(20), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_positions": context}))
    (folder / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    if without:
        (folder / without).unlink()
    return folder

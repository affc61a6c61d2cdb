"""What goes wrong says so on the object, with its reason, before a GPU is asked for where that can be known."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from demo.environment import DemoError
from tests.e2e.bots import Bots

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Mistake:
    """A way to get it wrong, and what the object must then say."""

    name: str
    reason: str
    prepare: Callable[[Bots], None] = lambda bots: None
    spec: dict = field(default_factory=dict)


MISTAKES = [
    Mistake("no-archive", "SourceNotFound"),
    Mistake("not-a-zip", "SourceUnreadable", lambda bots: bots.upload("not-a-zip.zip", b"This is not a zip file.")),
    Mistake("no-tweets", "SourceEmpty", lambda bots: bots.upload_archive("no-tweets", posts=0)),
    Mistake("few-words", "TooLittleText", lambda bots: bots.upload_archive("few-words", posts=20)),
    Mistake(
        "no-model",
        "BaseModelNotFound",
        lambda bots: bots.upload_archive("no-model", posts=120),
        {"baseModel": {"name": "s3://models/there-is-none"}},
    ),
    Mistake(
        "wrong-keys", "StorageAccessDenied", spec={"output": {"s3": {"credentialsSecret": {"name": "wrong-keys"}}}}
    ),
    Mistake("no-bucket", "BucketNotFound", spec={"output": {"s3": {"bucket": "there-is-none"}}}),
]


@pytest.fixture(scope="module")
def all_at_once(bots_module: Bots) -> Bots:
    """Every mistake applied before the first is looked at: they fail side by side."""
    bots_module.make_secret("wrong-keys", {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"})
    for mistake in MISTAKES:
        mistake.prepare(bots_module)
        bots_module.apply(mistake.name, **mistake.spec)
    return bots_module


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_fails_in_prepare_with_its_reason(mistake: Mistake, all_at_once: Bots) -> None:
    bot = all_at_once.wait_until_ended(mistake.name)

    assert bot["status"]["phase"] == "Failed"
    assert bot["status"]["failure"]["reason"] == mistake.reason
    assert all_at_once.condition(bot, "Failed")["reason"] == mistake.reason
    assert all_at_once.condition(bot, "Ready")["status"] == "False"
    assert [mistake.name in bots for bots in all_at_once.jobs("prepare").values()].count(True) == 1
    assert not any(mistake.name in bots for bots in all_at_once.jobs("train").values())


def test_a_missing_secret_is_named_while_the_pod_waits(bots: Bots) -> None:
    bots.apply("dora", output={"s3": {"credentialsSecret": {"name": "not-there-yet"}}})

    bot = bots.wait_until("dora", lambda bot: bots.reason(bot, "Reconciling") == "SecretNotFound")

    assert "not-there-yet" in bots.condition(bot, "Reconciling")["message"]


def test_a_missing_image_is_named_while_the_pod_waits(bots: Bots) -> None:
    with bots.operator_values({"images": {"prepare": "docker.io/local/there-is-none:dev"}}):
        bots.apply("emil")
        bot = bots.wait_until("emil", lambda bot: bots.reason(bot, "Reconciling") == "ImagePullFailed")

    assert "there-is-none" in bots.condition(bot, "Reconciling")["message"]


REFUSED = {
    "two sources": ({"source": {"archive": {"uri": "s3://a/b"}, "files": {"uri": "s3://a/b"}}}, "exactly one source"),
    "a repeated handle": ({"handles": ["Ann", "@ann"], "source": {"files": {"uri": "s3://a/{handle}"}}}, "must differ"),
    "a handle that X does not allow": ({"handles": ["not a handle"]}, "spec.handles[0]"),
    "a learning rate of zero": ({"training": {"learningRate": 0}}, "spec.training.learningRate"),
    "one file for two handles": ({"handles": ["ann", "ben"]}, "{handle}"),
    "an unknown field": ({"learningRate": 1}, "learningRate"),
}


@pytest.mark.parametrize(("spec", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_an_invalid_spec_is_refused_with_the_fix(spec: dict, message: str, bots: Bots) -> None:
    with pytest.raises(DemoError) as refusal:
        bots.apply("refused", **spec)

    assert message in str(refusal.value)

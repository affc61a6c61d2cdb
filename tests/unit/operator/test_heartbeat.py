"""What of a report is written, and what of the former one stays."""

from datetime import UTC, datetime

from tweetbot_api.messages import ProgressMessage
from tweetbot_api.runconfig import BotIdentity
from tweetbot_api.status import Progress, Stage
from tweetbot_operator.observed import Report
from tweetbot_operator.policies.heartbeat import advance

NOW = datetime(2026, 11, 1, tzinfo=UTC)
BOT = BotIdentity(namespace="default", name="ann", uid="uid", run_id="run", attempt=1)


def make_report(stage: Stage, **progress: float) -> Report:
    message = ProgressMessage(bot=BOT, job_kind="train", stage=stage, progress=Progress(**progress))
    return Report(message=message, received=NOW)


def test_the_last_loss_stays_to_be_seen_after_the_training() -> None:
    trained = advance(None, make_report("Training", percent=80, step=33, total_steps=33, loss=2.5, eta_seconds=1))

    published = advance(trained, make_report("Publishing", percent=95))

    assert (published.percent, published.step, published.loss) == (95, 33, 2.5)
    assert published.eta_seconds is None


def test_a_report_is_dated_by_the_operators_clock() -> None:
    assert advance(None, make_report("Fetching", percent=1)).last_heartbeat_time == NOW

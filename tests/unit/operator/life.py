"""The life of one bot under `make_plan` alone: what is observed goes in, the status that comes out is kept."""

from dataclasses import dataclass, field
from datetime import timedelta

from tests.unit.operator.factories import NOW, make_job, make_outcome, make_pod, make_settings, make_tweetbot
from tests.unit.operator.kstatus import assert_obeys_kstatus
from tweetbot_api.messages import BotOutcome, ProgressMessage
from tweetbot_api.runconfig import BotIdentity
from tweetbot_api.status import Progress, Stage
from tweetbot_api.types import TweetBot
from tweetbot_operator.life_cycle import is_allowed
from tweetbot_operator.observed import Observed, Report
from tweetbot_operator.plan import make_plan
from tweetbot_operator.reading import read_job, read_pod
from tweetbot_operator.situation import Plan

SETTINGS = make_settings()
NOTHING = Observed()


@dataclass
class Life:
    """A bot and what is observed of it; `step` makes a plan and stores its status."""

    bot: TweetBot = field(default_factory=make_tweetbot)
    now = NOW

    def step(self, observed: Observed = NOTHING) -> Plan:
        plan = make_plan(self.bot, observed, SETTINGS, self.now)
        if plan.status is not None:
            assert_obeys_kstatus(plan.status, self.bot.metadata.generation)
            assert is_allowed(self.bot.status.phase, plan.status.phase), (self.bot.status.phase, plan.status.phase)
            self.bot = self.bot.model_copy(update={"status": plan.status})
        return plan

    def observe(self, state: str = "active", **pod: object) -> Observed:
        return Observed(
            job=read_job(make_job(self.bot, state=state)),
            pods=(read_pod(make_pod(self.bot, **pod)),) if pod else (),
        )

    def finish(self, outcome: BotOutcome | None, exit_code: int = 0, **pod: object) -> Observed:
        state = "failed" if exit_code else "succeeded"
        return self.observe(state, outcome=outcome, exit_code=exit_code, **pod)

    def start_job(self) -> None:
        """Have the Job of the current attempt made and seen."""
        self.step()
        self.step(self.observe(waiting="ContainerCreating"))

    def start_training(self) -> None:
        self.step()
        self.start_job()
        self.step(self.finish(make_outcome("prepare")))
        self.start_job()

    def edit(self, **spec: object) -> None:
        edited = make_tweetbot(**spec)
        metadata = self.bot.metadata.model_copy(update={"generation": self.bot.metadata.generation + 1})
        self.bot = edited.model_copy(update={"metadata": metadata, "status": self.bot.status})

    @property
    def reason(self) -> str:
        return next(condition.reason for condition in self.bot.status.conditions if condition.type == "Ready")

    @property
    def message(self) -> str:
        return next(condition.message for condition in self.bot.status.conditions if condition.type == "Ready")


def report(bot: TweetBot, stage: Stage, percent: int, seconds: int = 0) -> Report:
    run = bot.status.run
    identity = BotIdentity(namespace="default", name="ann", uid="uid-of-ann", run_id=run.id, attempt=run.attempt)
    message = ProgressMessage(bot=identity, job_kind=run.job_kind, stage=stage, progress=Progress(percent=percent))
    return Report(message=message, received=NOW + timedelta(seconds=seconds))

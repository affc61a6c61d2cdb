"""A result is acknowledged to whoever waits for it, if anybody still does."""

import asyncio

from tests.unit.operator.factories import make_outcome
from tests.unit.operator.world import BOT
from tweetbot_operator.inbox import Attempt, Inbox

ATTEMPT = Attempt("uid-of-ann", "run", "prepare", 1)


def test_a_result_that_is_stored_while_the_operator_stops_is_acknowledged_to_nobody() -> None:
    inbox = Inbox()

    async def send() -> None:
        inbox.put_result(BOT, ATTEMPT, make_outcome("prepare"), "uid-of-pod")

    asyncio.run(send())
    result = inbox.result(BOT, ATTEMPT)
    assert result

    inbox.acknowledge(BOT, result)

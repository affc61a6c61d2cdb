"""Conditions, their reasons, and the exit codes that decide on another attempt."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.api.strategies import times
from tweetbot_api.conditions import EXPLANATIONS, ConditionType, Reason, drop_condition, set_condition
from tweetbot_api.exitcodes import PERMANENT, ExitCode, is_retryable
from tweetbot_api.status import Condition

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def set_ready(conditions: list[Condition], *, status: bool, now: datetime, generation: int = 1) -> list[Condition]:
    return set_condition(
        conditions,
        ConditionType.READY,
        status=status,
        reason=Reason.SUCCEEDED if status else Reason.TRAINING,
        message="as it is",
        generation=generation,
        now=now,
    )


def test_a_new_condition_is_added_behind_the_others() -> None:
    conditions = set_ready([], status=False, now=NOON)
    conditions = set_condition(
        conditions, ConditionType.FAILED, status=True, reason=Reason.JOB_FAILED, message="", generation=1, now=NOON
    )
    assert [condition.type for condition in conditions] == ["Ready", "Failed"]


def test_the_transition_time_moves_only_when_the_status_flips() -> None:
    (before,) = set_ready([], status=False, now=NOON)
    (same,) = set_ready([before], status=False, now=LATER, generation=2)
    (flipped,) = set_ready([same], status=True, now=LATER, generation=2)
    assert (same.last_transition_time, same.observed_generation) == (NOON, 2)
    assert (flipped.last_transition_time, flipped.status) == (LATER, "True")


@given(st.lists(st.tuples(st.sampled_from(ConditionType), st.booleans(), times)))
def test_no_type_stands_twice_and_the_last_word_counts(changes: list[tuple[ConditionType, bool, datetime]]) -> None:
    conditions: list[Condition] = []
    for kind, status, now in changes:
        conditions = set_condition(
            conditions, kind, status=status, reason=Reason.PENDING, message="", generation=1, now=now
        )
    want = {kind: str(status) for kind, status, _ in changes}
    assert {condition.type: condition.status for condition in conditions} == want
    assert max(Counter(condition.type for condition in conditions).values(), default=1) == 1


def test_setting_a_condition_leaves_the_given_list_as_it_is() -> None:
    given_conditions = set_ready([], status=False, now=NOON)
    set_ready(given_conditions, status=True, now=LATER)
    assert given_conditions[0].status == "False"


def test_a_dropped_condition_is_gone() -> None:
    conditions = set_ready([], status=True, now=NOON)
    assert drop_condition(conditions, ConditionType.READY) == []
    assert drop_condition(conditions, ConditionType.STALLED) == conditions


def test_types_are_frozen() -> None:
    assert list(ConditionType) == [
        "Ready", "Reconciling", "Stalled", "Complete", "Failed", "Suspended", "QuotaReserved",
    ]  # fmt: skip


def test_every_reason_has_a_meaning_and_a_remedy() -> None:
    assert list(EXPLANATIONS) == list(Reason)
    for reason, explanation in EXPLANATIONS.items():
        assert explanation.meaning.endswith("."), reason
        assert explanation.remedy.endswith("."), reason


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_one_camel_case_word(reason: Reason) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z]+", reason)


def test_exit_codes_are_frozen() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "BAD_SPEC": 64,
        "TOO_LITTLE_TEXT": 65,
        "HANDLE_MISSING": 66,
        "SOURCE_REFUSED": 69,
        "STOPPED_WITH_CHECKPOINT": 170,
        "TRANSIENT": 171,
        "GPU_FAULT": 172,
        "PEER_LOST": 173,
    }


@pytest.mark.parametrize("exit_code", [64, 65, 66, 69])
def test_what_no_attempt_can_mend_is_not_tried_again(exit_code: int) -> None:
    assert not is_retryable(exit_code)


@pytest.mark.parametrize("exit_code", [1, 137, 143, 170, 171, 172, 173])
def test_what_another_attempt_may_mend_is_tried_again(exit_code: int) -> None:
    assert is_retryable(exit_code)


def test_permanent_codes_are_those_that_a_job_may_name() -> None:
    """podFailurePolicy takes no 0, and no code twice."""
    assert all(0 < code <= 255 for code in PERMANENT)

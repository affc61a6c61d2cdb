"""What kstatus demands of conditions, in one assertion."""

from tweetbot_api.status import TweetBotStatus


def assert_obeys_kstatus(status: TweetBotStatus, generation: int) -> None:
    """Fail unless tools such as `kubectl wait`, Argo CD and Flux would read this status rightly."""
    conditions = {condition.type: condition for condition in status.conditions}
    assert status.observed_generation == generation
    assert len(conditions) == len(status.conditions)
    assert "Ready" in conditions
    assert all(condition.observed_generation == generation for condition in conditions.values())
    assert all(condition.message and condition.reason for condition in conditions.values())
    assert all(conditions[kind].status == "True" for kind in conditions if kind not in {"Ready", "QuotaReserved"})
    assert not {"Reconciling", "Stalled"} <= set(conditions)
    is_complete = "Complete" in conditions
    assert (conditions["Ready"].status == "True") == is_complete
    assert is_complete or {"Reconciling", "Stalled", "Suspended"} & set(conditions)
    assert not {"Suspended", "Reconciling"} <= set(conditions)
    assert not {"Suspended", "Stalled"} <= set(conditions)
    assert not {"Complete", "Failed"} <= set(conditions)

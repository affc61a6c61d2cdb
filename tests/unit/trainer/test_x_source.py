import json
import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.factories import make_base_model, make_run_config, make_sentences
from tests.x_api_server import POST_PRICE, USER_PRICE, XServer
from tests.x_timelines import Clock, Killed, Killer, make_timeline
from tweetbot_api.conditions import Reason
from tweetbot_api.exitcodes import ExitCode
from tweetbot_api.runconfig import S3Location
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.prepare import prepare
from tweetbot_trainer.progress import NullReporter
from tweetbot_trainer.raw_posts import RawPosts
from tweetbot_trainer.s3 import open_store_at
from tweetbot_trainer.sources.choose import open_source
from tweetbot_trainer.sources.rate_limit import limit_of
from tweetbot_trainer.tracking import NullTracker


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock):
    server = XServer(clock)
    yield server
    server.close()


def posts_of(timeline, handle="jack"):
    return list(timeline.posts(handle))


def error_of(timeline, handle="jack"):
    with pytest.raises(TrainerError) as caught:
        posts_of(timeline, handle)
    return caught.value


def test_all_pages_are_read_and_paid_for_once(server, clock, tmp_path):
    account = server.add_account("Jack", 350, name="jack 🌊")
    timeline = make_timeline(server, tmp_path, clock)
    posts = posts_of(timeline)
    assert [post.text for post in posts] == [post["text"] for post in reversed(account.posts)]
    assert [post.id for post in posts] == [post["id"] for post in reversed(account.posts)]
    assert timeline.display_name("jack") == "jack 🌊"
    assert {post.source for post in posts} == {"x-api"}
    assert server.bill == 350 * POST_PRICE + USER_PRICE


def test_each_trap_of_the_timeline_comes_out_as_a_reader_sees_it(server, clock, tmp_path):
    account = server.add_account("jack")
    server.write(account, "short &amp; sweet")
    server.write(
        account, "the beginning of a long po\u2026", note_tweet={"text": "the beginning of a long post, and its end"}
    )
    server.write(account, "RT @jill: cut of\u2026", referenced_tweets=[{"type": "retweeted", "id": "1"}])
    server.write(account, "@jill yes", referenced_tweets=[{"type": "replied_to", "id": "2"}])
    server.write(account, "look", referenced_tweets=[{"type": "quoted", "id": "3"}], lang="und")
    first = server.write(account, "with a tpyo")
    edit = server.write(account, "with a typo, no more")
    edit["edit_history_tweet_ids"] = [first["id"], edit["id"]]
    raw = RawPosts(tmp_path / "raw.jsonl")
    raw.write(make_timeline(server, tmp_path / "store", clock).posts("jack"))
    assert [(post.text, post.kind, post.lang) for post in raw.read("jack")] == [
        ("with a typo, no more", "original", "en"),
        ("look", "quote", None),
        ("@jill yes", "reply", "en"),
        ("RT @jill: cut of\u2026", "repost", "en"),
        ("the beginning of a long post, and its end", "original", "en"),
        ("short &amp; sweet", "original", "en"),
    ]


def test_the_next_run_buys_only_what_is_new(server, clock, tmp_path):
    account = server.add_account("jack", 230)
    posts_of(make_timeline(server, tmp_path, clock, run="first"))
    clock.sleep(3 * 86_400)
    for number in range(3):
        server.write(account, f"new {number}", time=clock.now - timedelta(hours=1))
    posts = posts_of(make_timeline(server, tmp_path, clock, run="second"))
    assert [post.text for post in posts[:4]] == ["new 2", "new 1", "new 0", "post number 229 of jack"]
    assert len(posts) == 233
    assert server.bill == 233 * POST_PRICE + 2 * USER_PRICE
    newest = max(int(post["id"]) for post in account.posts[:230])
    assert server.requests[-1][1]["since_id"] == str(newest)


def test_a_run_without_news_costs_nothing_on_the_same_day(server, clock, tmp_path):
    server.add_account("jack", 20)
    first = posts_of(make_timeline(server, tmp_path, clock, run="first"))
    assert posts_of(make_timeline(server, tmp_path, clock, run="second")) == first
    assert server.bill == 20 * POST_PRICE + USER_PRICE


def test_what_a_cap_left_out_is_bought_by_a_later_run_and_no_more(server, clock, tmp_path):
    server.add_account("jack", 400)
    assert len(posts_of(make_timeline(server, tmp_path, clock, run="first", maxPosts=150))) == 150
    clock.sleep(2 * 86_400)
    assert len(posts_of(make_timeline(server, tmp_path, clock, run="second"))) == 400
    assert server.bill == 400 * POST_PRICE + 2 * USER_PRICE


def test_money_is_capped_over_all_handles(server, clock, tmp_path):
    for handle in ("jack", "jill"):
        server.add_account(handle, 200)
    timeline = make_timeline(server, tmp_path, clock, handles=("jack", "jill"), maxCostUSD=1.27)
    assert [len(posts_of(timeline, handle)) for handle in ("jack", "jill")] == [200, 50]
    assert server.bill == Decimal("1.27")


@pytest.mark.parametrize("cost", [0.009, 0.034])
def test_a_budget_for_less_than_a_look_up_and_a_page_buys_no_post(server, clock, tmp_path, cost):
    server.add_account("jack", 200)
    error = error_of(make_timeline(server, tmp_path, clock, maxCostUSD=cost))
    assert (error.reason, error.exit_code) == (Reason.SOURCE_BUDGET_SPENT, ExitCode.SOURCE_REFUSED)
    assert "maxCostUSD" in error.message
    assert server.charged_posts() == []


def test_a_lost_answer_counts_as_paid_on_another_day(server, clock, tmp_path):
    server.add_account("jack", 200)
    killer = Killer()
    timeline = make_timeline(server, tmp_path, clock, maxPosts=150, killer=killer)
    server.after_charge = lambda: setattr(killer, "at", killer.count + 1) if server.charged_posts() else None
    with pytest.raises(Killed):
        posts_of(timeline)
    server.after_charge = lambda: None
    clock.sleep(86_400)
    assert len(posts_of(make_timeline(server, tmp_path, clock, maxPosts=150))) == 50
    assert len(server.charged_posts()) == 150


def test_bought_posts_are_removed_and_bought_anew_after_their_retention(server, clock, tmp_path):
    account = server.add_account("jack", 20)
    posts_of(make_timeline(server, tmp_path, clock, run="first"))
    deleted = account.posts.pop(3)
    clock.sleep(30 * 86_400)
    posts = posts_of(make_timeline(server, tmp_path, clock, run="second"))
    assert len(posts) == 19
    assert not any(deleted["id"] in path.read_text() for path in tmp_path.rglob("*.json"))


def test_the_rate_limit_is_waited_for(server, clock, tmp_path):
    server.add_account("jack", 350)
    server.requests_per_window = 2
    assert len(posts_of(make_timeline(server, tmp_path, clock))) == 350
    assert server.bill == 350 * POST_PRICE + USER_PRICE


def test_a_limit_that_never_ends_is_named(server, clock, tmp_path):
    server.add_account("jack", 10)
    server.requests_per_window = -1
    error = error_of(make_timeline(server, tmp_path, clock))
    assert (error.reason, error.exit_code) == (Reason.SOURCE_RATE_LIMITED, ExitCode.TRANSIENT)


def test_a_limit_of_a_day_is_not_waited_for(server, clock, tmp_path):
    reset = str(int(clock.seconds()) + 86_400)
    server.answers = [(429, {}, {"x-rate-limit-reset": reset})]
    assert error_of(make_timeline(server, tmp_path, clock)).reason == Reason.SOURCE_RATE_LIMITED


PROBLEM = "https://api.twitter.com/2/problems/"
REFUSALS = {
    "unknown token": (401, {"title": "Unauthorized"}, Reason.SOURCE_UNAUTHORIZED),
    "no project": (
        403,
        {"reason": "client-not-enrolled", "detail": "must use keys from an App attached to a Project"},
        Reason.SOURCE_NOT_ENROLLED,
    ),
    "forbidden": (403, {"title": "Forbidden", "detail": "no"}, Reason.SOURCE_FORBIDDEN),
    "no credit": (402, {"title": "CreditsDepleted", "type": f"{PROBLEM}credits"}, Reason.SOURCE_CREDIT_EXHAUSTED),
    "spending limit": (403, {"title": "SpendCapReached", "type": f"{PROBLEM}credits"}, Reason.SOURCE_CREDIT_EXHAUSTED),
    "monthly cap": (
        429,
        {"title": "UsageCapExceeded", "type": f"{PROBLEM}usage-capped"},
        Reason.SOURCE_CREDIT_EXHAUSTED,
    ),
    "no JSON": (200, b"<html>sorry</html>", Reason.SOURCE_ANSWER_UNUSABLE),
    "a list": (200, [1], Reason.SOURCE_ANSWER_UNUSABLE),
    "deep JSON": (200, b"[" * 100_000, Reason.SOURCE_ANSWER_UNUSABLE),
    "an account without id": (200, {"data": {"username": "jack"}}, Reason.SOURCE_ANSWER_UNUSABLE),
    "no JSON for a refusal": (403, b"<html>", Reason.SOURCE_FORBIDDEN),
    "a redirect": (302, {}, Reason.SOURCE_UNAVAILABLE),
}


@pytest.mark.parametrize(("status", "body", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_each_refusal_has_its_reason_and_costs_nothing(server, clock, tmp_path, status, body, reason):
    headers = {"Location": "http://127.0.0.1:9/"} if status == 302 else {}
    server.answers = [(status, body, headers)] * 3
    error = error_of(make_timeline(server, tmp_path, clock))
    assert error.reason == reason
    assert error.exit_code in {ExitCode.SOURCE_REFUSED, ExitCode.TRANSIENT}
    assert "good" not in error.message
    assert server.bill == 0


ACCOUNTS = {
    "unknown": ({"username": "jill"}, Reason.HANDLE_NOT_FOUND),
    "suspended": ({"username": "jack", "suspended": True}, Reason.HANDLE_SUSPENDED),
    "protected": ({"username": "jack", "protected": True}, Reason.HANDLE_PROTECTED),
    "silent": ({"username": "jack"}, Reason.SOURCE_EMPTY),
}


@pytest.mark.parametrize(("fields", "reason"), ACCOUNTS.values(), ids=ACCOUNTS.keys())
def test_what_is_wrong_with_an_account_is_named(server, clock, tmp_path, fields, reason):
    server.add_account(**fields)
    error = error_of(make_timeline(server, tmp_path, clock))
    assert (error.reason, error.exit_code) == (reason, ExitCode.HANDLE_MISSING)
    assert server.charged_posts() == []


def test_an_account_that_was_renamed_since_it_was_bought_is_told_by_its_new_name(server, clock, tmp_path):
    account = server.add_account("jack", 10)
    posts_of(make_timeline(server, tmp_path, clock, run="first"))
    account.username = "jacques"
    server.accounts = {"jacques": account}
    clock.sleep(86_400)
    error = error_of(make_timeline(server, tmp_path, clock, run="second"))
    assert error.reason == Reason.HANDLE_RENAMED
    assert "@jacques" in error.message


@pytest.mark.parametrize("state", ["protected", "suspended"])
def test_an_account_that_closes_midway_is_named_and_what_was_bought_is_kept(server, clock, tmp_path, state):
    account = server.add_account("jack", 250)
    server.after_charge = lambda: setattr(account, state, len(server.charged_posts()) == 200)
    assert error_of(make_timeline(server, tmp_path, clock)).reason == Reason.HANDLE_PROTECTED
    server.after_charge = lambda: None
    setattr(account, state, False)
    assert len(posts_of(make_timeline(server, tmp_path, clock))) == 250
    assert server.bill == 250 * POST_PRICE + USER_PRICE


def test_credit_that_ends_midway_goes_on_where_it_ended(server, clock, tmp_path):
    server.add_account("jack", 250)
    server.credit = Decimal("1.00")
    assert error_of(make_timeline(server, tmp_path, clock)).reason == Reason.SOURCE_CREDIT_EXHAUSTED
    server.credit = Decimal(10)
    clock.sleep(86_400)
    assert len(posts_of(make_timeline(server, tmp_path, clock))) == 250
    assert len(server.charged_posts()) == 250


def test_a_server_error_is_asked_again_and_at_last_named(server, clock, tmp_path):
    server.add_account("jack", 10)
    server.answers = [(503, {}, {})] * 2
    assert len(posts_of(make_timeline(server, tmp_path / "a", clock))) == 10
    server.answers = [(503, {}, {})] * 3
    error = error_of(make_timeline(server, tmp_path / "b", clock))
    assert (error.reason, error.exit_code) == (Reason.SOURCE_UNAVAILABLE, ExitCode.TRANSIENT)


def test_pages_in_a_circle_are_noticed(server, clock, tmp_path):
    server.add_account("jack", 10)
    posts_of(make_timeline(server, tmp_path / "a", clock))
    page = {"data": [], "meta": {"result_count": 0, "next_token": "again"}}
    user = {"data": {"id": "1000", "username": "jack", "name": "x"}}
    server.answers = [(200, user, {}), *[(200, page, {})] * 3]
    assert error_of(make_timeline(server, tmp_path / "b", clock)).reason == Reason.SOURCE_ANSWER_UNUSABLE


def test_an_empty_page_with_a_next_one_is_not_the_end(server, clock, tmp_path):
    user = {"data": {"id": "1000", "username": "jack", "name": "x"}}
    empty = {"meta": {"result_count": 0, "next_token": "more"}}
    last = {"data": [{"id": "5", "text": "hello"}], "meta": {"result_count": 1}}
    server.answers = [(200, user, {}), (200, empty, {}), (200, last, {})]
    assert [post.text for post in posts_of(make_timeline(server, tmp_path, clock))] == ["hello"]


def test_neither_token_nor_posts_reach_a_log(server, clock, tmp_path, caplog):
    server.add_account("jack", 10)
    server.tokens = {"sesame"}
    with caplog.at_level(logging.DEBUG):
        posts_of(make_timeline(server, tmp_path, clock, token="sesame"))
    assert "bought=10" in caplog.text
    assert "cost_usd=0.050" in caplog.text
    assert "sesame" not in caplog.text
    assert "post number" not in caplog.text
    assert "sesame" not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))


def test_runs_at_the_same_time_buy_each_post_once(server, clock, s3, s3_endpoint):
    """Two runs of other bots with the same handle, in a real store, each page asked for by one of them."""
    account = server.add_account("jack", 350)
    location = S3Location(bucket="bots", prefix="x", endpoint=s3_endpoint)
    server.after_charge = lambda: time.sleep(0.02)
    results = {}

    def read(run):
        store = open_store_at("s3://bots/team/_raw", location)
        timeline = make_timeline(server, store, clock, run=run)
        timeline._purchases._sleep = lambda _: time.sleep(0.01)
        results[run] = [post.text for post in timeline.posts("jack")]

    threads = [threading.Thread(target=read, args=(f"run-{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    want = [post["text"] for post in reversed(account.posts)]
    assert results == {f"run-{number}": want for number in range(3)}
    assert max(server.deliveries.values()) == 1
    assert server.bill == 350 * POST_PRICE + USER_PRICE


def test_a_claim_of_a_run_that_died_is_given_up_after_a_while(server, clock, tmp_path):
    server.add_account("jack", 10)
    killer = Killer()
    timeline = make_timeline(server, tmp_path, clock, run="dead", killer=killer)
    server.after_charge = lambda: setattr(killer, "at", killer.count + 1) if server.charged_posts() else None
    with pytest.raises(Killed):
        posts_of(timeline)
    server.after_charge = lambda: None
    before = clock.now
    assert len(posts_of(make_timeline(server, tmp_path, clock, run="alive"))) == 10
    assert timedelta(minutes=15) < clock.now - before < timedelta(minutes=16)


def test_a_damaged_record_is_named_without_its_text(server, clock, tmp_path):
    server.add_account("jack", 10)
    posts_of(make_timeline(server, tmp_path, clock))
    (path,) = [path for path in tmp_path.rglob("answer.json") if "user" not in path.parts]
    record = json.loads(path.read_text())
    del record["charge"]
    path.write_text(json.dumps(record))
    with pytest.raises(TrainerError, match="remove it") as caught:
        make_timeline(server, tmp_path, clock)
    assert "post number" not in caught.value.message


def test_the_picture_is_fetched_large_and_without_the_token(server, clock, tmp_path):
    server.add_account("jack", 10)
    timeline = make_timeline(server, tmp_path, clock)
    assert timeline.avatar("jack") is None
    posts_of(timeline)
    assert timeline.avatar("jack") == b"/pictures/1000_400x400.jpg"


def x_config(server, tmp_path, **fields):
    source = {"x": {"credentialsSecret": {"name": "x"}, "termsAccepted": True}}
    access = {"xURL": server.url, "trustedServers": [server.url]}
    return make_run_config(handles=["jack"], source=source, access=access, rawURI=(tmp_path / "raw").as_uri(), **fields)


def test_a_run_reads_the_token_from_its_environment_and_ends_with_a_dataset(server, clock, tmp_path, monkeypatch):
    account = server.add_account("jack", name="jack")
    for text in make_sentences(382):
        server.write(account, text)
    server.write(account, "RT @jill: theirs", referenced_tweets=[{"type": "retweeted", "id": "1"}])
    server.write(account, "gm")
    monkeypatch.setenv("X_BEARER_TOKEN", "good")
    model = {"name": make_base_model(tmp_path / "small").as_uri()}
    store = LocalStore(tmp_path / "store")
    config = x_config(server, tmp_path, baseModel=model)
    server.clock = lambda: datetime.now(UTC)
    outcome = prepare(config, store, NullReporter(), NullTracker(), tmp_path / "work")
    (counts,) = outcome.data
    assert (counts.display_name, counts.downloaded, counts.retweets, counts.short, counts.kept) == (
        "jack", 384, 1, 1, 382,
    )  # fmt: skip
    assert server.bill == 384 * POST_PRICE + USER_PRICE


def test_a_run_without_a_token_is_told_which_variable_is_missing(server, tmp_path, monkeypatch):
    monkeypatch.delenv("X_BEARER_TOKEN", raising=False)
    with pytest.raises(TrainerError, match="X_BEARER_TOKEN is not set") as caught:
        open_source(x_config(server, tmp_path), tmp_path)
    assert caught.value.reason == Reason.SOURCE_UNAUTHORIZED


def test_bots_of_a_job_with_one_token_share_one_rate_limit():
    assert limit_of("X", "one") is limit_of("X", "one")
    assert limit_of("X", "one") is not limit_of("X", "two")

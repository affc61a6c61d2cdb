"""The control plane benchmark's tables follow from its measurements."""

from benchmarks.control_plane.measurement import Measurement
from benchmarks.control_plane.report import against, completed_per_second, rates, requests, standing
from benchmarks.control_plane.usage import Usage


def make_measurement(contestant="TweetBot", size=300, seconds=5.0, writes=1_200, peak=80.0, **fields):
    return Measurement(
        **{
            "contestant": contestant,
            "setting": "lifted",
            "size": size,
            "max_bots": 64 if contestant == "TweetBot" else None,
            "complete": size,
            "seconds": seconds,
            "jobs_seconds": 2.0,
            "writes": {"operator": {"patch tweetbots/status": writes}},
            "usage": {
                "operator": Usage(resident=70, peak=peak, cpu_seconds=4),
                "kube-apiserver": Usage(resident=900, peak=999, cpu_seconds=11),
            },
            **fields,
        }
    )


def cells(table):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_a_rate_counts_from_the_first_creation_to_the_last_end():
    assert completed_per_second(make_measurement(size=300, seconds=5)) == 60
    ((*_, to_job, to_complete, writes, _, peak, cpu),) = cells(rates([make_measurement()]))
    assert (to_job, to_complete, writes) == ("150.0", "60.0", "4.0")
    assert peak == "80", "the control plane's own parts are not the contestant's"
    assert cpu == "50", "but what they do is done for the contestant"


def test_what_is_not_known_when_time_is_up_is_left_empty():
    cut = make_measurement(complete=30, jobs_seconds=None)
    ((_, _, size, complete, _, to_job, to_complete, writes, *_),) = cells(rates([cut]))
    assert (size, complete, to_job, to_complete, writes) == ("300", "30", "", "6.0", "40.0")


def test_ours_is_compared_with_a_rival_at_the_same_size_and_limits_only():
    theirs = make_measurement("TrainJob", seconds=30, writes=7_200, peak=160)
    others = [make_measurement("TrainJob", size=100), make_measurement("Job"), make_measurement(size=1_000)]
    assert cells(against([make_measurement(), theirs, *others], "TrainJob")) == [
        ["lifted", "300", "6.0 x", "6.0 x", "1.0 x", "0.50 x"]
    ]


def test_writes_are_not_compared_with_those_of_a_rival_that_was_cut_off():
    theirs = make_measurement("TrainJob", complete=60, seconds=30, writes=7_200, peak=160)
    assert cells(against([make_measurement(), theirs], "TrainJob")) == [["lifted", "300", "30.0 x", "", "", "0.50 x"]]


def test_requests_are_listed_by_client_per_object():
    assert cells(requests(make_measurement())) == [["operator", "4.00", "patch tweetbots/status 4.00"]]
    assert cells(requests(make_measurement(), reads=True)) == []


def test_a_restart_is_told_only_where_one_was_tried():
    assert standing([make_measurement()]) == ""
    tried = make_measurement(
        quiet_seconds=60,
        quiet_writes=0,
        at_rest=Usage(resident=71, peak=80, cpu_seconds=5),
        restart_seconds=2.5,
        restart_writes=0,
        after_restart=Usage(resident=66, peak=75, cpu_seconds=2),
    )
    assert cells(standing([tried])) == [["lifted", "300", "80", "71", "66", "0 in 60 s", "2.5", "0 in 60 s"]]

"""The Job that reads a list of handles from S3."""

import gzip

import pytest

from tweetbot_api.conditions import Reason
from tweetbot_api.runconfig import BatchIdentity, ListManifest, S3Location
from tweetbot_api.termination import decode_termination
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.handle_list import load_list_manifest, read_handles, run_list_job
from tweetbot_trainer.job import JobPaths


@pytest.fixture
def paths(tmp_path):
    return JobPaths(
        manifest=tmp_path / "manifest.json",
        token=tmp_path / "token",
        work_dir=tmp_path / "work",
        termination_message=tmp_path / "termination",
    )


@pytest.fixture
def manifest(s3_endpoint):
    return ListManifest(
        job_name="team-list",
        operator_url="https://operator.test",
        batch=BatchIdentity(namespace="ns", name="team", uid="uid"),
        uri="s3://bots/lists/team.csv",
        column="account",
        store=S3Location(bucket="bots", prefix="x", endpoint=s3_endpoint),
    )


def write(tmp_path, content):
    path = tmp_path / "team.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        "name,account\nAnn,@ann\nBen,ben\n",
        "account\tname\n@ann\tAnn\nben\tBen\n",
        '"name";"account"\n"Ann; the first";"@ann"\n;ben\n;\n',
        "\ufeffaccount|name\r\n@ann|Ann\r\n\r\n  ben  |\r\n",
        gzip.compress(b"account\n@ann\nben\n"),
        "account\n@ann\nben\n".encode("utf-16"),
    ],
    ids=["commas", "tabs", "semicolons and quotes", "bars and marks", "gzip", "UTF-16"],
)
def test_a_column_of_any_table_is_read(tmp_path, content):
    assert read_handles(write(tmp_path, content), "account") == ["@ann", "ben"]


def test_a_column_that_is_missing_is_told_with_those_that_are_there(tmp_path):
    with pytest.raises(TrainerError, match=r"has no column 'account' in its first line, but name, city") as error:
        read_handles(write(tmp_path, "name,city\nAnn,Oslo\n"), "account")
    assert error.value.reason is Reason.SOURCE_UNREADABLE


def test_an_empty_file_has_no_column(tmp_path):
    with pytest.raises(TrainerError, match="has no column"):
        read_handles(write(tmp_path, ""), "account")


def test_more_handles_than_a_batch_has_are_refused_without_reading_on(tmp_path):
    path = write(tmp_path, "account\n" + "ann\n" * 10_001)
    with pytest.raises(TrainerError, match="more than 10,000 handles"):
        read_handles(path, "account")


def test_what_is_read_is_handed_over(s3, manifest, paths):
    s3.put_object(Bucket="bots", Key="lists/team.csv", Body=b"account\n@ann\nben\n")
    sent = []

    assert run_list_job(manifest, paths, lambda message: not sent.append(message)) == 0

    (message,) = sent
    assert message.handles == ["@ann", "ben"]
    assert (message.batch, message.job_name) == (manifest.batch, "team-list")
    assert not paths.termination_message.exists()


def test_a_file_that_is_not_there_is_told_and_not_tried_again(s3, manifest, paths):
    assert run_list_job(manifest, paths, lambda _: True) == 66

    (outcome,) = decode_termination(paths.termination_message.read_text())
    assert outcome.failure.reason == "SourceNotFound"
    assert "s3://bots/lists/team.csv" in outcome.failure.message


def test_an_operator_that_does_not_take_the_list_is_tried_again(s3, manifest, paths):
    s3.put_object(Bucket="bots", Key="lists/team.csv", Body=b"account\n@ann\n")

    assert run_list_job(manifest, paths, lambda _: False) == 171

    (outcome,) = decode_termination(paths.termination_message.read_text())
    assert "port 8443 of the operator" in outcome.failure.message


def test_a_manifest_is_read_as_it_was_written(manifest, paths):
    paths.manifest.write_text(manifest.model_dump_json(by_alias=True))
    assert load_list_manifest(paths.manifest) == manifest
    paths.manifest.write_text("{}")
    with pytest.raises(TrainerError, match="cannot be read"):
        load_list_manifest(paths.manifest)

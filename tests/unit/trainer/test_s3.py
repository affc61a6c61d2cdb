import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from tweetbot_api.conditions import Reason
from tweetbot_api.runconfig import S3Location
from tweetbot_trainer import s3_client
from tweetbot_trainer.artifacts import StoredFile
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.s3 import S3Store, fetch_prefix, fetch_uri, list_prefix, open_store
from tweetbot_trainer.s3_client import MIB, open_client


@pytest.fixture
def location(s3, s3_endpoint):
    return S3Location(bucket="bots", prefix="ns/bot/run", endpoint=s3_endpoint)


@pytest.fixture
def store(location):
    return open_store(location)


def failing_store(code, status, operation="GetObject"):
    """Return a store whose client answers every call with one error."""

    class Client:
        exceptions = boto3.client("s3", region_name="us-east-1").exceptions

        def __getattr__(self, name):
            def fail(**_):
                raise ClientError(
                    {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation
                )

            return fail

    return S3Store(Client(), "bots", "ns/bot/run")


def test_objects_lie_below_the_runs_prefix(store, s3):
    store.write_bytes("model/config.json", b"{}")
    assert s3.get_object(Bucket="bots", Key="ns/bot/run/model/config.json")["Body"].read() == b"{}"
    assert store.uri("model/config.json") == "s3://bots/ns/bot/run/model/config.json"


def test_what_is_written_is_read_again(store, tmp_path):
    (tmp_path / "a").write_bytes(b"weights")
    store.upload(tmp_path / "a", "model/a")
    store.download("model/a", tmp_path / "there" / "a")
    assert b"weights" == store.read_bytes("model/a") == (tmp_path / "there" / "a").read_bytes()
    assert store.exists("model/a")


def test_what_is_absent_is_none(store):
    assert store.read_bytes("nothing") is None
    assert not store.exists("nothing")


def test_keys_are_listed_by_prefix_without_those_of_other_runs(store, s3):
    for key in ("ns/bot/run/logs/1", "ns/bot/run/logs/2", "ns/bot/run/model/a", "ns/bot/run-2/logs/x"):
        s3.put_object(Bucket="bots", Key=key, Body=b"")
    assert store.list("logs/") == ["logs/1", "logs/2"]
    assert store.list() == ["logs/1", "logs/2", "model/a"]


def test_a_missing_bucket_is_named(s3_endpoint, s3_credentials, tmp_path):
    store = open_store(S3Location(bucket="nowhere", prefix="run", endpoint=s3_endpoint))
    (tmp_path / "a").write_bytes(b"a")
    for use in (
        lambda: store.exists("a"),
        lambda: store.read_bytes("a"),
        lambda: store.write_bytes("a", b""),
        lambda: store.upload(tmp_path / "a", "a"),
        lambda: store.list(),
        lambda: store.download("a", tmp_path / "b"),
    ):
        with pytest.raises(TrainerError, match="nowhere") as caught:
            use()
        assert caught.value.reason == Reason.BUCKET_NOT_FOUND


@pytest.mark.parametrize(
    ("code", "status", "want_reason"),
    [
        ("AccessDenied", 403, Reason.STORAGE_ACCESS_DENIED),
        ("SignatureDoesNotMatch", 403, Reason.STORAGE_ACCESS_DENIED),
        ("InvalidAccessKeyId", 403, Reason.STORAGE_ACCESS_DENIED),
        ("AuthorizationHeaderMalformed", 400, Reason.STORAGE_ACCESS_DENIED),
        ("PermanentRedirect", 301, Reason.STORAGE_ACCESS_DENIED),
        ("XAdminUserNotFound", 404, Reason.STORAGE_ACCESS_DENIED),
        ("NoSuchBucket", 404, Reason.BUCKET_NOT_FOUND),
        ("RequestTimeout", 400, Reason.STORAGE_UNAVAILABLE),
        ("SlowDown", 503, Reason.STORAGE_UNAVAILABLE),
        ("InternalError", 500, Reason.STORAGE_UNAVAILABLE),
    ],
)
def test_an_answer_of_the_store_becomes_a_reason(code, status, want_reason):
    with pytest.raises(TrainerError) as caught:
        failing_store(code, status).read_bytes("a")
    assert want_reason == caught.value.reason


@pytest.mark.parametrize(
    ("error", "want_reason"),
    [
        (NoCredentialsError(), Reason.STORAGE_ACCESS_DENIED),
        (EndpointConnectionError(endpoint_url="http://s3"), Reason.STORAGE_UNAVAILABLE),
    ],
)
def test_a_failure_on_the_way_becomes_a_reason(error, want_reason, location, monkeypatch):
    client = open_client(location)
    monkeypatch.setattr(client, "put_object", lambda **_: (_ for _ in ()).throw(error))
    with pytest.raises(TrainerError) as caught:
        S3Store(client, "bots", "run").write_bytes("a", b"")
    assert want_reason == caught.value.reason


def test_a_store_that_does_not_answer_is_unavailable(s3_credentials, tmp_path):
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=1)
    client = boto3.client("s3", endpoint_url="http://127.0.0.1:1", region_name="us-east-1", config=config)
    with pytest.raises(TrainerError) as caught:
        S3Store(client, "bots", "run").read_bytes("a")
    assert caught.value.reason == Reason.STORAGE_UNAVAILABLE


def test_a_source_is_downloaded(location, s3, tmp_path):
    s3.put_object(Bucket="bots", Key="posts/me #1.zip", Body=b"zip")
    path = fetch_uri("s3://bots/posts/me #1.zip", tmp_path / "source" / "me", location)
    assert path.read_bytes() == b"zip"


@pytest.mark.parametrize(
    ("uri", "want_reason"),
    [
        ("s3://bots/posts/me.zip", Reason.SOURCE_NOT_FOUND),
        ("s3://nowhere/posts/me.zip", Reason.BUCKET_NOT_FOUND),
        ("file:///nowhere/me.zip", Reason.SOURCE_NOT_FOUND),
    ],
)
def test_a_missing_source_is_told_from_a_missing_bucket(location, tmp_path, uri, want_reason):
    with pytest.raises(TrainerError) as caught:
        fetch_uri(uri, tmp_path / "me", location)
    assert want_reason == caught.value.reason


def test_a_local_file_stays_where_it_is(location, tmp_path):
    path = tmp_path / "my posts.jsonl"
    path.touch()
    assert path == fetch_uri(path.as_uri(), tmp_path / "copy", location)


def test_only_named_objects_directly_below_a_prefix_are_fetched(location, s3, tmp_path):
    for name in ("config.json", "model.bin", "onnx/model.json"):
        s3.put_object(Bucket="bots", Key=f"models/gpt2/{name}", Body=b"{}")
    assert list_prefix("s3://bots/models/gpt2/", location) == ["config.json", "model.bin"]
    fetch_prefix("s3://bots/models/gpt2/", ["config.json"], tmp_path / "model", location)
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["config.json"]


def test_an_object_is_created_only_once(store):
    assert store.create("manifest.json", b"first")
    assert not store.create("manifest.json", b"second")
    assert store.read_bytes("manifest.json") == b"first"


def test_one_of_many_who_create_an_object_at_the_same_time_succeeds(store):
    names = [str(number).encode() for number in range(8)]
    for key in map(str, range(20)):
        with ThreadPoolExecutor(len(names)) as threads:
            is_mine = list(threads.map(partial(store.create, key), names))
        assert is_mine.count(True) == 1
        assert store.read_bytes(key) == names[is_mine.index(True)]


@pytest.mark.parametrize("status", [400, 501])
def test_a_store_without_conditional_writes_is_asked_first(location, status, request):
    client = open_client(location)
    event = "provide-client-params.s3.PutObject"

    def refuse_conditions(params, **_):
        if "IfNoneMatch" in params:
            error = {"Error": {"Code": "NotImplemented"}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise ClientError(error, "PutObject")

    client.meta.events.register(event, refuse_conditions)
    # All tests of this process share the client.
    request.addfinalizer(lambda: client.meta.events.unregister(event, refuse_conditions))
    store = S3Store(client, "bots", "ns/bot/run")
    assert store.create("manifest.json", b"first")
    assert not store.create("manifest.json", b"second")
    assert store.read_bytes("manifest.json") == b"first"


def test_a_refused_creation_is_an_error():
    with pytest.raises(TrainerError) as caught:
        failing_store("AccessDenied", 403).create("a", b"")
    assert caught.value.reason == Reason.STORAGE_ACCESS_DENIED


@pytest.mark.parametrize("num_bytes", [0, 7, 11 * MIB])
def test_a_copy_is_told_from_another_object_of_the_same_size(store, tmp_path, monkeypatch, num_bytes):
    monkeypatch.setattr(s3_client.TRANSFER, "multipart_threshold", 8 * MIB)
    monkeypatch.setattr(s3_client.TRANSFER, "multipart_chunksize", 5 * MIB)
    path = tmp_path / "a"
    path.write_bytes(b"a" * num_bytes)
    store.upload(path, "model/a")
    stored = store.files()["model/a"]
    assert ("-3" in stored.tag) == (num_bytes > 8 * MIB)
    assert store.holds("model/a", path, stored)
    path.write_bytes(b"b" * num_bytes)
    assert store.holds("model/a", path, stored) == (num_bytes == 0)
    path.write_bytes(b"a" * (num_bytes + 1))
    assert not store.holds("model/a", path, stored)


def test_where_the_tag_is_no_hash_the_object_is_read_back(store, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"weights")
    store.upload(path, "model/a")
    assert store.holds("model/a", path, StoredFile(bytes=7, tag="no-hash-at-all"))
    store.write_bytes("model/a", b"WEIGHTS")
    assert not store.holds("model/a", path, StoredFile(bytes=7, tag="no-hash-at-all"))


@pytest.mark.parametrize(
    ("encryption", "want"),
    [
        ({"algorithm": "AES256"}, ("AES256", None)),
        ({"algorithm": "aws:kms", "kmsKeyID": "alias/bots"}, ("aws:kms", "alias/bots")),
        (None, (None, None)),
    ],
)
def test_all_that_is_stored_is_encrypted_as_asked(location, s3, tmp_path, encryption, want):
    place = S3Location.model_validate({**location.to_wire(), "encryption": encryption})
    store = open_store(place)
    (tmp_path / "a").write_bytes(b"a")
    store.upload(tmp_path / "a", "uploaded")
    store.write_bytes("written", b"a")
    store.create("created", b"a")
    for key in ("uploaded", "written", "created"):
        head = s3.head_object(Bucket="bots", Key=f"ns/bot/run/{key}")
        assert want == (head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")), key


@pytest.mark.parametrize(
    ("endpoint", "checksums", "want"),
    [
        ("http://store.test", None, "when_required"),
        ("http://store.test", "when_supported", "when_supported"),
        (None, None, "when_supported"),
        (None, "when_required", "when_required"),
    ],
)
def test_checksums_go_to_aws_and_elsewhere_only_if_asked_for(s3_credentials, endpoint, checksums, want):
    client = open_client(
        S3Location(bucket="bots", prefix="", endpoint=endpoint, region="eu-central-1", checksums=checksums)
    )
    config = client.meta.config
    assert (config.request_checksum_calculation, config.response_checksum_validation) == (want, want)


def test_parts_of_unfinished_uploads_of_this_run_are_freed(store, s3):
    for key in ("ns/bot/run/model/a", "ns/bot/run-2/model/a"):
        s3.create_multipart_upload(Bucket="bots", Key=key)
    store.discard_unfinished()
    (left,) = s3.list_multipart_uploads(Bucket="bots")["Uploads"]
    assert left["Key"] == "ns/bot/run-2/model/a"
    s3.abort_multipart_upload(Bucket="bots", Key=left["Key"], UploadId=left["UploadId"])


def test_a_store_that_does_not_list_unfinished_uploads_changes_nothing(s3_endpoint, s3_credentials, caplog):
    store = open_store(S3Location(bucket="nowhere", prefix="run", endpoint=s3_endpoint))
    with caplog.at_level(logging.INFO):
        store.discard_unfinished()
    assert "not looked for" in caplog.text


def test_a_deleted_object_is_gone_and_may_be_deleted_again(store):
    store.write_bytes("manifest.json", b"")
    store.delete("manifest.json")
    store.delete("manifest.json")
    assert not store.exists("manifest.json")

import botocore.retries.standard
import moto.s3.models
import pytest
from s3transfer.utils import ChunksizeAdjuster

from tests.faulty_s3 import LARGE, PASSING, FaultyS3
from tests.unit.trainer.conftest import s3, s3_credentials, s3_endpoint
from tweetbot_trainer import s3_client

__all__ = ["faulty_s3", "impatient", "passing_fault", "s3", "s3_credentials", "s3_endpoint"]


@pytest.fixture(scope="module")
def faulty_s3():
    """Return a store that can fail at any request; few bytes make a large file."""
    s3 = FaultyS3()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        s3_client._make_client.cache_clear()
        monkeypatch.setattr(s3_client.TRANSFER, "multipart_threshold", LARGE)
        monkeypatch.setattr(s3_client.TRANSFER, "multipart_chunksize", LARGE // 2)
        # S3 asks for parts of 5 MiB; smaller ones make the same requests.
        monkeypatch.setattr(ChunksizeAdjuster, "adjust_chunksize", lambda _, size, *__: size)
        monkeypatch.setattr(moto.s3.models, "S3_UPLOAD_PART_MIN_SIZE", 1)
        monkeypatch.setattr(botocore.retries.standard.ExponentialBackoff, "delay_amount", lambda *_: 0)
        yield s3
    s3.close()


@pytest.fixture
def impatient(monkeypatch):
    """Have the client give up on an answer soon, in tests in which one never comes: a busy machine may take longer."""
    monkeypatch.setattr(s3_client, "_READ_SECONDS", 0.3)
    s3_client._make_client.cache_clear()
    yield
    s3_client._make_client.cache_clear()


@pytest.fixture(params=PASSING)
def passing_fault(request):
    """Return each fault that a single request may have."""
    if request.param == "timeout":
        request.getfixturevalue("impatient")
    return PASSING[request.param]

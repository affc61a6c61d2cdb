from tests.unit.trainer.conftest import s3, s3_credentials, s3_endpoint

__all__ = ["s3", "s3_credentials", "s3_endpoint"]

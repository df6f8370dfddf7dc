"""Stores by their address: what is refused, and what an error says; against a real S3 server."""

import os
from unittest.mock import patch

import pytest

from recommender.errors import UsageError
from tests.object_server import ObjectServer
from warehouse.store.client import NoObjectError, StoreError, open_store, store_errors


@pytest.mark.parametrize(
    "url", ["s3://", "ftp://there/x", "/tmp/releases", "file://folder", "releases", "https://a.b/c"]
)
def test_what_is_no_store_is_wrong_usage(url: str):
    with pytest.raises(UsageError, match="s3://bucket/prefix"):
        open_store(url)


@pytest.mark.parametrize("url", ["s3://key:hidden@bucket/x", "s3://bucket/x?sig=hidden"])
def test_credentials_in_an_address_are_refused_and_not_repeated(url: str):
    with pytest.raises(UsageError, match="hold no credentials") as refused:
        open_store(url)
    assert "hidden" not in str(refused.value)


def test_an_error_says_what_to_do(s3: ObjectServer):
    def read(url: str, **other: str) -> None:
        with patch.dict(os.environ, {**s3.environment(), **other}), store_errors(url, "read"):
            open_store(url).get("current.json")

    with pytest.raises(NoObjectError, match=r"s3://releases/errors cannot be read: errors/current.json is not there"):
        read("s3://releases/errors")
    with pytest.raises(StoreError, match=r"NoSuchBucket.*create it, or correct the address"):
        read("s3://misspelt/errors")
    with pytest.raises(StoreError, match=r"InvalidAccessKeyId.*check the credentials"):
        read("s3://releases/errors", AWS_ACCESS_KEY_ID="nobody")
    with pytest.raises(StoreError, match=r"SignatureDoesNotMatch.*check the credentials") as refused:
        read("s3://releases/errors", AWS_SECRET_ACCESS_KEY="a-wrong-secret")
    assert "a-wrong-secret" not in str(refused.value)
    with pytest.raises(StoreError, match=r"check the address, the endpoint in the environment and the network"):
        read("s3://releases/errors", AWS_ENDPOINT="http://127.0.0.1:9")
    with pytest.raises(StoreError, match="AWS_ALLOW_HTTP=true"):
        read("s3://releases/errors", AWS_ALLOW_HTTP="false")
    with pytest.raises(StoreError, match=r"/nowhere/at/all"):
        read("file:///nowhere/at/all")

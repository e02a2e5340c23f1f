"""boto3 clients of the running server: the command line is one more client of the wire, with no way of its own."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from darkroom import client_files, identity
from darkroom.cli import server
from darkroom.settings import Settings

CONFIG = Config(retries={"total_max_attempts": 2}, read_timeout=120, proxies={})
# Files of the user's own may mean another cloud, or be broken.
NO_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
ROLE_NAME = "service-role/AmazonSageMaker-ExecutionRole-Darkroom"


@dataclass(frozen=True)
class Connection:
    """``region`` and keys come from the home folder, never from the shell: its AWS variables may mean another cloud."""

    settings: Settings

    @cached_property
    def sagemaker(self) -> Any:
        return self._client("sagemaker")

    @cached_property
    def runtime(self) -> Any:
        return self._client("sagemaker-runtime")

    @cached_property
    def logs(self) -> Any:
        return self._client("logs")

    @cached_property
    def cloudwatch(self) -> Any:
        return self._client("cloudwatch")

    @cached_property
    def s3(self) -> Any:
        return self._client("s3")

    @cached_property
    def account(self) -> str:
        return str(self._client("sts").get_caller_identity()["Account"])

    @property
    def region(self) -> str:
        return self.settings.region

    @property
    def role(self) -> str:
        return f"arn:aws:iam::{self.account}:role/{ROLE_NAME}"

    @property
    def bucket(self) -> str:
        """The default bucket, named as the SDKs name it."""
        return f"sagemaker-{self.region}-{self.account}"

    def make_bucket(self) -> str:
        """The default bucket's name, after making it where it is not there."""
        place = {} if self.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        try:
            self.s3.create_bucket(Bucket=self.bucket, **place)
        except ClientError as error:
            if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
                raise
        return self.bucket

    def list_all(self, operation: str, member: str, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Items of every page of a List operation, newest first, at most ``limit``."""
        pages = self.sagemaker.get_paginator(operation).paginate(
            SortBy="CreationTime", SortOrder="Descending", PaginationConfig={"MaxItems": limit}
        )
        for page in pages:
            yield from page[member]

    def _client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=client_files.url(self.settings), config=CONFIG)

    @cached_property
    def _session(self) -> boto3.Session:
        keys = identity.load_or_create(self.settings.home)
        return boto3.Session(keys.access_key, keys.secret_key, region_name=self.region)


def connect() -> Connection:
    """To the server of this home. Raises Failure, which says ``darkroom up``, where none runs."""
    settings = server.settings_of_running(server.loaded())
    for name in client_files.interfering(os.environ):  # boto3 reads them even where everything is given
        del os.environ[name]
    os.environ.update(client_files.environment(settings, identity.load_or_create(settings.home)) | NO_FILES)
    return Connection(settings)


def code_of(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def message_of(error: ClientError) -> str:
    return str(error.response["Error"].get("Message") or error)

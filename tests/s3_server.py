"""A server that speaks S3's protocol over TCP: moto's, which simulates S3 in memory. It is not Amazon's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "taskgate-tests"

#: What a client needs beside the address; any will do.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "a-key",
    "AWS_SECRET_ACCESS_KEY": "a-secret",
    "AWS_DEFAULT_REGION": "eu-central-1",
}


class S3Server:
    def __init__(self, server: ThreadedMotoServer) -> None:
        host, port = server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id="a-key",
            aws_secret_access_key="a-secret",
            region_name="eu-central-1",
        )
        # moto keeps what it has for as long as the process lives, over servers that come and go.
        with suppress(self.client.exceptions.BucketAlreadyOwnedByYou):
            self.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})

    def settings(self, prefix: str) -> dict[str, str]:
        """Environment variables of an installation that keeps its files below the prefix."""
        return {"FILES_URL": f"s3://{BUCKET}/{prefix}", "FILES_ENDPOINT": self.url, **CREDENTIALS}

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def unfinished(self, prefix: str = "") -> list[str]:
        """Keys of multipart uploads that are neither completed nor aborted."""
        answer = self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix)
        return [upload["Key"] for upload in answer.get("Uploads", ())]


@contextmanager
def s3_server() -> Iterator[S3Server]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each request otherwise
    try:
        found = S3Server(server)
        yield found
        found.client.close()
    finally:
        server.stop()

"""What all tests share: a real S3 server, started once when the first test asks for it."""

from collections.abc import Callable, Iterator
import itertools

import pytest

from tests.servers import CREDENTIALS, SeaweedFS, seaweedfs


@pytest.fixture(scope="session")
def s3_server() -> Iterator[SeaweedFS]:
    """A running server. Its credentials are in the environment, and no other setting of this machine's is."""
    with pytest.MonkeyPatch.context() as environment, seaweedfs() as server:
        for name in (
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_S3",
            "AWS_PROFILE",
            "AWS_SESSION_TOKEN",
            "AWS_REGION",
        ):
            environment.delenv(name, raising=False)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            environment.setenv(name, "/dev/null")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name, value in CREDENTIALS.items():
            environment.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def new_s3_prefix(s3_server: SeaweedFS) -> Callable[[], str]:
    """Makes the URL of an empty prefix, all in one bucket (a new bucket costs the server seconds)."""
    url = s3_server.make_bucket("tests")
    numbers = itertools.count()
    return lambda: f"{url}/{next(numbers)}"

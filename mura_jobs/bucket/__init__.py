"""Where everything lies: `open_bucket(url)` on S3 or in a local folder, with one contract."""

from pathlib import Path
import re
from urllib.parse import unquote, urlsplit

from mura_jobs.bucket.base import Bucket
from mura_jobs.bucket.keys import why_invalid
from mura_jobs.errors import ConfigError

__all__ = ["open_bucket"]

EXPECTED = "expected s3://BUCKET, s3://BUCKET/PREFIX or file:///absolute/folder"


def open_bucket(url: str, endpoint: str | None = None) -> Bucket:
    """The bucket at `url`. Nothing is sent yet: `Bucket.check` proves that it works.

    Args:
        url: s3://BUCKET, s3://BUCKET/PREFIX, or file:///folder with special characters percent-encoded.
        endpoint: http(s)://HOST:PORT of an S3 server other than AWS. Without it, boto3's settings decide
            (AWS_ENDPOINT_URL, the profile), as they do for credentials and region.

    Raises:
        ConfigError: the URL or endpoint can't be understood.
    """
    scheme, _, rest = url.partition("://")
    if endpoint:
        _require_no_credentials("endpoint", "@" in endpoint)
    if scheme == "file":
        folder = Path(unquote(rest))
        if not folder.is_absolute() or "\0" in unquote(rest):
            raise ConfigError(f"bucket {url!r}: not an absolute folder; {EXPECTED}")
        if endpoint:
            raise ConfigError(f"endpoint {endpoint!r}: a folder has no endpoint; leave it out for {url}")
        from mura_jobs.bucket.local import LocalBucket

        return LocalBucket(folder)
    name, _, prefix = rest.partition("/")
    _require_no_credentials("bucket", ":" in name or "@" in name or (scheme != "s3" and "@" in url))
    if scheme != "s3":
        raise ConfigError(f"bucket {url!r}: unknown kind; {EXPECTED}")
    prefix = prefix.rstrip("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        raise ConfigError(
            f"bucket {url!r}: {name!r} is no bucket name (3 to 63 of a-z, 0-9, '-' and '.'); {EXPECTED}"
        )
    if prefix and (reason := why_invalid(prefix)):
        raise ConfigError(f"bucket {url!r}: {prefix!r} is no prefix: {reason}; {EXPECTED}")
    _check_endpoint(endpoint)
    # boto3 takes a third of a second to import, which a folder needn't wait for
    from mura_jobs.bucket.s3 import S3Bucket

    return S3Bucket(name, prefix, endpoint)


def _check_endpoint(endpoint: str | None) -> None:
    if endpoint is None:
        return
    try:
        parts = urlsplit(endpoint)
        _ = parts.port  # is read from the text only when it is asked for
    except ValueError:
        raise ConfigError(f"endpoint {endpoint!r}: expected http(s)://HOST or http(s)://HOST:PORT") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ConfigError(f"endpoint {endpoint!r}: expected http(s)://HOST or http(s)://HOST:PORT")


def _require_no_credentials(what: str, found: bool) -> None:
    """Refuse an address that holds a user name or a password, without showing it."""
    if found:
        raise ConfigError(
            f"{what}: its address seems to hold a user name or password (not shown), which would end up in "
            "logs; give credentials as boto3 takes them (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
            "a profile or a role)"
        )

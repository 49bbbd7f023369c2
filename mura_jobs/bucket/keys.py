"""Which keys are allowed: those that every kind of bucket can hold."""

from mura_jobs.bucket.base import InvalidKey

MAX_KEY_BYTES = 1024
"""S3's limit for a whole key."""
MAX_NAME_BYTES = 255
"""The limit of common file systems for one name between slashes."""


def require_valid_key(key: str, *, where: str) -> None:
    """Check that every kind of bucket can hold this key, and that none takes it for something outside.

    A key is a relative path of non-empty names other than "." and "..", in valid Unicode without control
    characters and backslashes, with at most 1024 bytes of UTF-8 as a whole and 255 a name.

    Raises:
        InvalidKey: naming the key, the bucket (`where`) and what is wrong.
    """
    reason = why_invalid(key)
    if reason:
        raise InvalidKey(f"{where}: {key[:200]!r} can't be a key: {reason}")


def require_valid_prefix(prefix: str, *, where: str) -> None:
    """Check that a listing's prefix stays inside: all of it up to the last slash must be a valid key.

    Raises:
        InvalidKey: as `require_valid_key`.
    """
    folder, slash, _ = prefix.rpartition("/")
    if slash:
        require_valid_key(folder, where=where)


def why_invalid(key: str) -> str | None:
    """What is wrong with a key, or None."""
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    names = encoded.split(b"/")
    faults = {
        "it is empty, starts or ends with '/', or holds '//'": b"" in names,
        "it holds '.' or '..' as a name": b"." in names or b".." in names,
        "it holds a backslash, which some stores take for a slash": b"\\" in encoded,
        "it holds a control character": any(byte < 32 or byte == 127 for byte in encoded),
        f"it has {len(encoded)} bytes, more than {MAX_KEY_BYTES}": len(encoded) > MAX_KEY_BYTES,
        f"one of its names has more than {MAX_NAME_BYTES} bytes": max(map(len, names)) > MAX_NAME_BYTES,
    }
    return next((fault for fault, found in faults.items() if found), None)

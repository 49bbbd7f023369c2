"""Copy what is published at a prefix to a folder: `python -m helm.fetch BUCKET ENDPOINT PREFIX FOLDER`."""

from pathlib import Path
import sys

from mura_jobs.bucket import open_bucket
from mura_jobs.job.artifact import Artifact


def main(url: str, endpoint: str, prefix: str, folder: str) -> None:
    """Fetch every object, checked against the manifest."""
    artifact = Artifact.open(open_bucket(url, endpoint), prefix)
    for name in artifact.names:
        sys.stdout.write(f"{artifact.fetch(name, Path(folder))}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

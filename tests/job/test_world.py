import pytest

from mura_jobs.errors import ConfigError
from mura_jobs.job.world import World


def test_rows_of_all_ranks_are_the_world_batch() -> None:
    rows = [row for rank in range(4) for row in range(12)[World(rank=rank, size=4).rows(12)]]
    assert rows == list(range(12))


def test_an_uneven_share_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"10 .* 4 processes"):
        World(size=4).rows(10)

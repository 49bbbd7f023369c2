from mura_jobs.job.memory import memory_facts, memory_limit


def test_the_limit_is_that_of_the_control_group_or_none() -> None:
    """A process that runs has a limit above what it takes."""
    limit = memory_limit()
    assert limit is None or limit > 1 << 20
    assert "limit is" in memory_facts()

import numpy as np
import pytest
import torch

from mura_jobs.job.randomness import numpy_stream, stream_key, torch_stream


def test_a_stream_is_its_name() -> None:
    """The same name draws the same numbers, whatever was drawn before from other streams."""
    first = numpy_stream(1, "noise", "patient1", 3).normal(size=5)
    numpy_stream(1, "noise", "patient1", 4).normal(size=5)
    np.testing.assert_array_equal(numpy_stream(1, "noise", "patient1", 3).normal(size=5), first)


@pytest.mark.parametrize("other", [(2, "noise", 3), (1, "nois", 3), (1, "noise", 4), (1, "noise", "3")])
def test_another_name_is_another_stream(other: tuple[int, str]) -> None:
    assert stream_key(*other) != stream_key(1, "noise", 3)


def test_parts_of_a_name_do_not_run_together() -> None:
    assert stream_key(1, "a", "b", "c") != stream_key(1, "a", "bc")
    assert stream_key(1, "a", 1, 23) != stream_key(1, "a", 12, 3)


def test_streams_are_fixed_for_all_time() -> None:
    """Published data sets depend on these numbers: a change of this test is a change of every result."""
    assert stream_key(0, "phantom", 1) == 0xEA804F3C8566C50AD49273B8AA5BEEC5
    assert numpy_stream(0, "phantom", 1).integers(1 << 30) == 861120274
    assert torch.randint(1 << 30, (1,), generator=torch_stream(0, "phantom", 1)).item() == 649235478


def test_global_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    torch.randn(3, generator=torch_stream(0, "z", 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_neighbouring_streams_are_uncorrelated() -> None:
    draws = np.stack([numpy_stream(0, "x", i).normal(size=2000) for i in range(8)])
    correlation = np.asarray(np.corrcoef(draws)) - np.eye(8)
    assert np.abs(correlation).max() < 0.1  # 4.5 standard errors

"""The processes that train together: who this one is, and which rows of a world batch are its own."""

from dataclasses import dataclass

from mura_jobs.errors import ConfigError


@dataclass(frozen=True)
class World:
    """This process among those that torchrun started; alone by default."""

    device: str = "cpu"
    """Where this process computes, as torch names it: "cpu", "cuda:0"."""
    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes to the bucket and speaks."""
        return self.rank == 0

    def rows(self, batch: int) -> slice:
        """The contiguous rows of a world batch that this process works on.

        Raises:
            ConfigError: the batch can't be shared evenly.
        """
        if batch % self.size:
            raise ConfigError(f"a world batch of {batch} can't be shared evenly by {self.size} processes")
        share = batch // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def share(self, count: int) -> slice:
        """The contiguous part of `count` things that is this process's; parts differ by at most one."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

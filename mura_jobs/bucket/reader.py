"""A remote object as a seekable file."""

from collections import OrderedDict
from collections.abc import Callable
import errno
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 256 << 10
"""Unit of transfer and memory."""
MAX_AHEAD = 32
"""Blocks fetched by one request once reading has proved sequential."""
MAX_BLOCKS = 64
"""Blocks held in memory, 16 MiB: the least recently used one goes first."""


class RangedReader(io.RawIOBase):
    """Reads an object by ranges, ahead when it is read in sequence.

    `fetch(start, length)` returns exactly that range. A first or a random read fetches one block. Each fetch
    that continues where the last one ended takes twice as many, up to `MAX_AHEAD`, as the read-ahead of a
    file system does. So zipfile costs a few requests for the directory at the end, then one for every 8 MiB
    of members in sequence. Wrap it in `io.BufferedReader`, which also makes it safe for threads.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        super().__init__()
        self._fetch = fetch
        self._size = size
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next = -1
        self._ahead = 1

    def readable(self) -> bool:
        """True: it is for reading."""
        return True

    def seekable(self) -> bool:
        """True: any position costs the same."""
        return True

    def tell(self) -> int:
        """Position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset` from the start, the position or the end, as in any file. Nothing is fetched."""
        position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if position < 0:
            raise OSError(errno.EINVAL, f"seek to {position}: before the start of the object")
        self._position = position
        return position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer` up to the end of a block or the object; the number of bytes, 0 at the end."""
        if self._position >= self._size:
            return 0
        index, offset = divmod(self._position, BLOCK_BYTES)
        block = self._block(index)
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(block) - offset)
        target[:count] = block[offset : offset + count]
        self._position += count
        return count

    def _block(self, index: int) -> bytes:
        if index not in self._blocks:
            self._ahead = min(2 * self._ahead, MAX_AHEAD) if index == self._next else 1
            self._load(index, self._ahead)
        self._blocks.move_to_end(index)
        return self._blocks[index]

    def _load(self, index: int, count: int) -> None:
        start = index * BLOCK_BYTES
        data = self._fetch(start, min(count * BLOCK_BYTES, self._size - start))
        for at in range(0, len(data), BLOCK_BYTES):
            self._blocks[index] = data[at : at + BLOCK_BYTES]
            index += 1
        self._next = index
        while len(self._blocks) > MAX_BLOCKS:
            self._blocks.popitem(last=False)

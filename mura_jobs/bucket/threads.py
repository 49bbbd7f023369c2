"""Many small transfers at once, in order and with bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def in_order(function: Callable[[T], U], items: Iterable[T], workers: int) -> Iterator[U]:
    """Map `function` over `items` by `workers` threads, and yield the results in the order of `items`.

    The threads run at most 2 × `workers` items ahead of the consumer. `items` is consumed in the calling
    thread. The first exception is raised where its result would have been; what had not begun by
    then is dropped.
    """
    pending: deque[Future[U]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="bucket")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)

"""Where the store's blocking calls run, and the one place where their errors become those of the port."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, ParamSpec, TypeVar

from service.errors import StoreUnavailable
from service.machine import usable_cores
from service.stores.embedded.shard import DamagedShard

LOGGER: Final = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


def open_readers() -> ThreadPoolExecutor:
    """Return the threads that read from SQLite and the disk."""
    return ThreadPoolExecutor(usable_cores() + 2, thread_name_prefix="store-read")


def open_writer() -> ThreadPoolExecutor:
    """Return one thread: what is handed to it runs in that order, one after the other, also when callers give up."""
    return ThreadPoolExecutor(1, thread_name_prefix="store-write")


async def run(executor: Executor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking call of the store on a thread; raises as `translated` does."""
    with translated():
        return await asyncio.get_running_loop().run_in_executor(executor, lambda: function(*args, **kwargs))


@contextmanager
def translated() -> Iterator[None]:
    """Raise StoreUnavailable where SQLite, Qdrant or the disk failed."""
    try:
        yield
    except BaseException as error:
        if not is_of_store(error):
            raise
        LOGGER.exception("the embedded store failed")
        raise StoreUnavailable("The store could not do this now; the log says why. Try again.") from error


def is_failure(error: BaseException) -> bool:
    """Tell whether something failed, rather than being told to stop. A panic of Qdrant is no Exception."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def is_of_store(error: BaseException) -> bool:
    """Tell failures of SQLite, Qdrant (which raises bare exceptions) and the disk from mistakes in the code."""
    if isinstance(error, sqlite3.Error | OSError | DamagedShard):
        return True
    return is_failure(error) and (type(error) is Exception or not isinstance(error, Exception))

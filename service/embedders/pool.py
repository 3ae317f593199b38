"""The embedding models of one process: that of the settings, and others that collections name, loaded on demand."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from service.embedders.base import Embedder, Model
from service.embedders.batching import open_embedder
from service.errors import ModelUnavailable

logger = logging.getLogger(__name__)

MOST_MODELS: Final = 4
"""Held at once, each of some hundred megabytes."""


Loaders = Callable[[], Mapping[str, Callable[[], Model]]]
"""Gives a function that loads each model there is."""


class OneModel:
    """The Embedders port where there is one model, whatever it is called."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    async def of(self, model: str) -> Embedder:  # noqa: ARG002  # there is one
        return self._embedder


class ModelPool:
    """The Embedders port over models that are loaded when they are first named, and kept until the process ends."""

    def __init__(
        self,
        default: Embedder,
        name: str,
        loaders: Loaders,
        stack: AsyncExitStack,
    ) -> None:
        self._loaders = loaders
        self._stack = stack
        self._name = name
        self._open: dict[str, Embedder] = {"": default, name: default}
        self._loading = asyncio.Lock()

    async def of(self, model: str) -> Embedder:
        found = self._open.get(model)
        return found or await self._load(model)

    async def names(self) -> list[str]:
        """Return the names of the models that can be asked for."""
        return sorted({self._name, *await asyncio.to_thread(self._loaders)})

    async def _load(self, model: str) -> Embedder:
        async with self._loading:  # one after the other: each takes a processor and much memory for a second
            if found := self._open.get(model):
                return found
            loaders = await asyncio.to_thread(self._loaders)
            if model not in loaders:
                known = ", ".join(sorted({self._name, *loaders}))
                raise ModelUnavailable(f"There is no embedding model {model!r} here; there are: {known}.")
            if len(self._open) > MOST_MODELS:
                raise ModelUnavailable(f"This process holds {MOST_MODELS} embedding models already; restart it.")
            loaded = await asyncio.to_thread(loaders[model])
            embedder = await self._stack.enter_async_context(open_embedder(loaded))
            self._open[model] = embedder
        logger.info("an embedding model was loaded", extra={"model": model})
        return embedder


@asynccontextmanager
async def open_pool(default: Embedder, name: str, loaders: Loaders) -> AsyncIterator[ModelPool]:
    """Keep models until the block ends. `loaders` gives a function that loads each model there is besides `name`."""
    async with AsyncExitStack() as stack:
        yield ModelPool(default, name, loaders, stack)

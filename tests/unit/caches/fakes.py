"""What stands in for Redis where its own behaviour is not the point."""

from collections.abc import Mapping, Sequence

from service.caches.base import Cached


class DictTier:
    """A shared tier in a dictionary, which can be switched off."""

    def __init__(self) -> None:
        self.values: dict[str, Cached] = {}
        self.is_down = False
        self.errors = 0

    async def read(self, keys: Sequence[str], _: str) -> list[Cached | None] | None:
        return None if self.is_down else [self.values.get(key) for key in keys]

    async def write(self, values: Mapping[str, Cached]) -> None:
        if not self.is_down:
            self.values.update(values)

    async def remove(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.values.pop(key, None)

    async def covered(self, prefix: str, owner: str | None) -> set[str]:
        found = {key: cached for key, cached in self.values.items() if key.startswith(prefix)}
        return {key for key, cached in found.items() if owner in {None, cached.owner}}

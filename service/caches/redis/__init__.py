"""Redis as a dependency that never hurts: bounded in time and connections, left alone while it is unwell."""

from service.caches.redis.client import Redis, open_redis

__all__ = ["Redis", "open_redis"]

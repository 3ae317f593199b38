"""The guard of the routes: each declares the scope that it needs, and is closed where it does not."""

from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Guard

from service.access.base import Scope
from service.routes.requests import tenant_of
from service.wiring import Services

SEARCH: Final[dict[str, Scope]] = {"scope": "search"}
WRITE: Final[dict[str, Scope]] = {"scope": "write"}
ADMIN: Final[dict[str, Scope]] = {"scope": "admin"}
"""What a route gives as its `opt`."""


def guard_of(services: Services) -> Guard:
    """Return the guard of all routes that are not open: it runs before anything of the request is looked at."""

    def check_scope(connection: ASGIConnection[Any, Any, Any, Any], route: BaseRouteHandler) -> None:
        if connection.scope.get("method") == HttpMethod.OPTIONS:  # the framework's own: browsers ask it without a key
            return
        state = connection.scope["state"]
        state["tenant"] = tenant_of(services, state["headers"], route.opt["scope"])

    return check_scope

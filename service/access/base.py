"""The port of access: who a caller is, and what the caller may do."""

from collections.abc import Set as AbstractSet
from typing import Final, Literal, Protocol, get_args

Scope = Literal["search", "write", "admin"]
"""None implies another: a key says all that it opens."""
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)


class Access(Protocol):
    """Tells tenants apart."""

    def tenant(self, authorization: str, scope: Scope) -> str:
        """Return whose data the caller sees, from the header `Authorization` ("" where there is none).

        Raises Unauthenticated, and Forbidden where the caller is known and lacks the scope.
        """
        ...

    def tenants(self) -> AbstractSet[str]:
        """Return all tenants who may call."""
        ...

"""Access without keys: whoever reaches the loopback address is the one tenant, and may do all."""

from collections.abc import Set as AbstractSet

from service.access.base import Scope
from service.models import DEFAULT_TENANT


class LoopbackAccess:
    """Everybody is one tenant. The settings see to it that only this machine gets here."""

    def tenant(self, authorization: str, scope: Scope) -> str:  # noqa: ARG002  # nobody is asked for anything
        return DEFAULT_TENANT

    def tenants(self) -> AbstractSet[str]:
        return frozenset({DEFAULT_TENANT})

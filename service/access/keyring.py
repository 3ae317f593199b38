"""Access by the API keys of a file, which is read again while the service runs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from service.access.base import Access, Scope
from service.access.files import decode_keys, read_content
from service.access.keys import Key, key_of
from service.access.loopback import LoopbackAccess
from service.errors import Forbidden, InvalidKeyFile, InvalidSettings, Unauthenticated

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 1.0
SCHEME: Final = "bearer"


class Keyring:
    """The keys of a file. A request costs one look-up and one hash: reading is done beside."""

    def __init__(self, file: Path, content: bytes) -> None:
        self._file = file
        self._content = content
        self._keys: Mapping[str, Key] = decode_keys(content, file)
        self._trouble = ""

    def tenant(self, authorization: str, scope: Scope) -> str:
        """Return the tenant of the key that the header holds; raises Unauthenticated and Forbidden."""
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != SCHEME:
            raise Unauthenticated("This needs an API key: send it in the header `Authorization: Bearer KEY`.")
        key = key_of(text.strip(), self._keys)
        if key is None:
            raise Unauthenticated("There is no such API key: it was not copied whole, or it was revoked.")
        if scope not in key.scopes:
            raise Forbidden(f"This needs a key with the scope {scope!r}; this one has: {', '.join(key.scopes)}.")
        return key.tenant

    def tenants(self) -> AbstractSet[str]:
        """Return the tenants that have keys."""
        return {key.tenant for key in self._keys.values()}

    async def reread(self) -> None:
        """Take over the file where it changed. One that cannot be used is logged, and the keys stay as they are.

        The whole file is compared: a time of change may be kept by a copy, or too coarse for two changes.
        """
        try:
            content = await asyncio.to_thread(read_content, self._file)
            if content != self._content:
                self._keys = decode_keys(content, self._file)
                self._content = content
                logger.info("the API keys were read again", extra={"keys": len(self._keys)})
        except InvalidKeyFile as error:
            self._note(str(error))
        else:
            self._note("")

    async def reread_for_ever(self) -> None:
        """Read the file again, once a second."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.reread()
            except Exception:
                logger.exception("reading the API keys again failed")

    def _note(self, trouble: str) -> None:
        """Log what is wrong with the file, or that nothing is any more; never the same twice in a row."""
        if trouble and trouble != self._trouble:
            logger.error("the API keys stay as they are: %s", trouble)
        elif self._trouble and not trouble:
            logger.info("the file of API keys is well again")
        self._trouble = trouble


@asynccontextmanager
async def open_access(file: str) -> AsyncIterator[Access]:
    """Open the access that the setting asks for: by the keys of a file, or "": without; raises InvalidSettings."""
    if not file:
        yield LoopbackAccess()
        return
    try:
        path = Path(file)
        keyring = Keyring(path, await asyncio.to_thread(read_content, path))
    except InvalidKeyFile as error:
        create = f"retrieval keys create --tenant default --scopes search,write,admin --file {file}"
        raise InvalidSettings(f"RETRIEVAL_API_KEYS_FILE: {error}. This writes a key: {create}") from None
    if not keyring.tenants():
        logger.warning("there are no API keys: nobody may search or write")
    rereading = asyncio.create_task(keyring.reread_for_ever())
    try:
        yield keyring
    finally:
        rereading.cancel()
        await asyncio.wait({rereading})

"""A reindex under load: another model and shorter passages, a switch and a rollback, at 200 searches a second."""

import tempfile
from pathlib import Path

import httpx
import msgspec

from scripts.bench.figures import Figure
from tests.tools.models import compile_prefixed
from tests.tools.reindexing import reindex_under_load, text_of
from tests.tools.running import running_service

DOCUMENTS = 300
SEARCHES = 200.0
WRITES = 2.0
"""A second."""


async def measure() -> list[Figure]:
    """Count what callers saw that they should not."""
    with tempfile.TemporaryDirectory() as temporary:
        compile_prefixed(Path(temporary), "prefixed")
        with running_service(Path(temporary)) as service:
            documents = [{"id": f"d{number}", "text": text_of(number)} for number in range(DOCUMENTS)]
            lines = b"\n".join(msgspec.json.encode(document) for document in documents)
            headers = {"content-type": "application/x-ndjson"}
            url = f"{service.url}/collections/things/documents"
            async with httpx.AsyncClient(timeout=600) as client:
                (await client.post(url, content=lines, headers=headers)).raise_for_status()
            seen = await reindex_under_load(service.url, "things", "prefixed", SEARCHES, WRITES)
    if seen.first_error:
        raise RuntimeError(seen.first_error)
    return [
        Figure("documents", DOCUMENTS),
        Figure("searches", seen.searches),
        Figure("writes", seen.writes),
        Figure("seconds to build, compare and switch", seen.build_seconds),
        Figure("errors", seen.errors, goal=0),
        Figure("answers of the old generation after the switch", seen.old_after_switch, goal=0),
        Figure("answers of the next generation after the rollback", seen.old_after_rollback, goal=0),
        Figure("acknowledged writes missing in the next generation", seen.lost_at_switch, goal=0),
        Figure("acknowledged writes missing in the kept generation", seen.lost_at_rollback, goal=0),
    ]

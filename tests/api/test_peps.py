"""Filters over the metadata of all PEPs, each with the beginning of its text, against a plain reading of the file."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.tools.running import SHARED_DATA, running_service

LIMIT = 50
Meets = Callable[[dict[str, Any]], bool]
CASES: list[tuple[dict[str, Any], Meets]] = [
    ({"status": "Deferred"}, lambda m: m["status"] == "Deferred"),
    ({"status": ["Deferred", "Provisional"]}, lambda m: m["status"] in {"Deferred", "Provisional"}),
    ({"status": "Final"}, lambda m: m["status"] == "Final"),
    ({"type": "Process", "status": {"ne": "Active"}}, lambda m: m["type"] == "Process" and m["status"] != "Active"),
    ({"created": {"gte": "2024-01-01"}}, lambda m: m.get("created", "") >= "2024-01-01"),
    ({"created": {"gte": "2001-03-01", "lt": "2001-06-01"}}, lambda m: "2001-03-01" <= m["created"] < "2001-06-01"),
    ({"authors": {"contains": "Barry Warsaw"}}, lambda m: "Barry Warsaw" in m.get("authors", [])),
    ({"authors": {"contains": "Guido van Rossum"}}, lambda m: "Guido van Rossum" in m.get("authors", [])),
    ({"pep": {"gte": 480, "lte": 500}}, lambda m: 480 <= m["pep"] <= 500),
    (
        {"any_of": [{"pep": 8}, {"authors": {"contains": "Brett Cannon"}}], "none_of": [{"status": "Final"}]},
        lambda m: (m["pep"] == 8 or "Brett Cannon" in m.get("authors", [])) and m["status"] != "Final",
    ),
]


@pytest.mark.slow
def test_filters_over_real_metadata_give_what_they_say_and_all_of_it() -> None:
    with gzip.open(SHARED_DATA / "peps.jsonl.gz") as lines:
        peps = [json.loads(line) for line in lines]
    body = "".join(json.dumps(pep | {"text": pep["text"][:150] or pep["title"]}) + "\n" for pep in peps)
    with running_service() as service, httpx.Client(base_url=service.url, timeout=300) as client:
        client.put("/collections/peps", json={"fields": {"created": "date"}})
        headers = {"Content-Type": "application/x-ndjson"}
        report = client.post("/collections/peps/documents", content=body.encode(), headers=headers).json()
        assert (report["created"], report["failures"]) == (len(peps), 0)
        for filters, meets in CASES:
            expected = {pep["id"] for pep in peps if meets(pep["metadata"])}
            for mode in ("vector", "hybrid"):
                request = {"query": "Python", "collection": "peps", "limit": LIMIT, "mode": mode, "filters": filters}
                hits = client.post("/search", json=request).json()["hits"]
                found = {hit["document_id"] for hit in hits}
                assert found <= expected, filters
                assert len(found) == min(LIMIT, len(expected)), filters
            deleted = client.post("/collections/peps/documents/delete", json={"filters": filters}).json()["deleted"]
            assert deleted == len(expected), filters
            peps = [pep for pep in peps if pep["id"] not in expected]

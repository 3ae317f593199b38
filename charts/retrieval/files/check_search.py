"""Run by `helm test`: a document that is imported is found, and its collection is gone afterwards."""

import json
import os
import urllib.request
from typing import Any
from uuid import uuid4

URL = os.environ["URL"]
COLLECTION = f"helm_test_{uuid4().hex[:12]}"


def call(method: str, path: str, body: object = None) -> Any:
    """Return the JSON of an answer; raises on a status of an error."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ['KEY']}"}
    request = urllib.request.Request(f"{URL}{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read() or "null")


try:
    imported = call("POST", f"/collections/{COLLECTION}/documents", {"id": "one", "text": "Owls hunt at night."})
    search = {"query": "which birds hunt at night", "collection": COLLECTION, "minimum_version": imported["version"]}
    hits = call("POST", "/search", search)["hits"]
finally:
    call("DELETE", f"/collections/{COLLECTION}")
print(hits)
if [hit["document_id"] for hit in hits] != ["one"]:
    raise SystemExit("the document was not found")

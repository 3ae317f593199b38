"""Run by `helm test`: the service is ready behind its Service, and asks callers for a key."""

import json
import os
import urllib.error
import urllib.request

URL = os.environ["URL"]


def status(path: str, body: object = None) -> int:
    """Return the status of an answer to a caller without a key."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}{path}", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


found = {"ready": status("/health/ready"), "a search without a key": status("/search", {"query": "anything"})}
print(found)
if found != {"ready": 200, "a search without a key": 401}:
    raise SystemExit("expected 200 and 401")

"""The classes that Weaviate keeps for the service, and the properties of each."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from service.models import FieldType
from service.stores.filters import BUILT_IN_FIELDS
from service.stores.weaviate.fields import PRESENT, digits_of
from service.stores.words import LENGTH_WEIGHT, SATURATION

PREFIX: Final = "Retrieval"
"""Of all classes: a Weaviate may serve others beside us."""
CATALOG: Final = f"{PREFIX}Catalog"
RECORDS: Final = f"{PREFIX}Records"
FLAT_SEARCH_CUTOFF: Final = 20_000
"""Matches of a filter up to which all are compared: over 200,000 passages, there as quick as the index, and exact."""
SEARCH_BREADTH: Final = 512
"""ef: candidates that a search of the HNSW index keeps."""
BUILD_BREADTH: Final = 128
CONNECTIONS: Final = 32
REPAIR: Final = {"frequency": 5_000, "frequencyWhilePropagating": 1_000, "propagationDelay": 5_000}
"""Milliseconds, of replicas: how often they are compared, how often while one is behind (both as often as Weaviate
allows), and how old an object is before others are given it. By default the first and the last are 30 s."""

Properties = list[dict[str, Any]]


def passages_class(collection: str) -> str:
    """Return the class of all collections of this name; each generation of each tenant is a tenant of it."""
    return f"{PREFIX}Passages_{collection}"


def stored(name: str) -> dict[str, Any]:
    """Return a property of text that is returned and never searched."""
    return {"name": name, "dataType": ["text"], "indexFilterable": False, "indexSearchable": False}


def indexed(name: str, kind: str) -> dict[str, Any]:
    """Return a property that filters read: text as it is, numbers also by range."""
    found = {"name": name, "dataType": [kind], "indexFilterable": True, "indexSearchable": False}
    if kind.startswith("text"):
        found["tokenization"] = "field"
    if kind in {"int", "number"}:
        found["indexRangeFilters"] = True
    return found


def field_properties(fields: Mapping[str, FieldType]) -> Properties:
    """Return the properties of declared fields."""
    return [indexed(digit.name, digit.kind) for name, kind in fields.items() for digit in digits_of(name, kind)]


def catalog_class(replication: int) -> dict[str, Any]:
    """Return the class of the entries."""
    return _class(CATALOG, [indexed("tenant", "text"), stored("entry")], replication)


def records_class(replication: int) -> dict[str, Any]:
    """Return the class of the records; each generation of a collection is a tenant of it."""
    properties = [stored("record"), stored("content_hash")]
    return _class(RECORDS, properties, replication) | {"multiTenancyConfig": {"enabled": True}}


def collection_class(name: str, fields: Mapping[str, FieldType], replication: int) -> dict[str, Any]:
    """Return the class of a collection's passages."""
    own = [
        stored("passage"),
        {
            "name": "terms",
            "dataType": ["text"],
            "tokenization": "whitespace",
            "indexFilterable": False,
            "indexSearchable": True,
        },
        indexed(PRESENT, "text[]"),
    ]
    properties = [*own, *field_properties(BUILT_IN_FIELDS), *field_properties(fields)]
    return _class(passages_class(name), properties, replication) | {
        "multiTenancyConfig": {"enabled": True},
        "vectorIndexType": "hnsw",
        "vectorIndexConfig": {
            "distance": "cosine",
            "ef": SEARCH_BREADTH,
            "efConstruction": BUILD_BREADTH,
            "maxConnections": CONNECTIONS,
            "flatSearchCutoff": FLAT_SEARCH_CUTOFF,
            "skipDefaultQuantization": True,
        },
    }


def _class(name: str, properties: Iterable[dict[str, Any]], replication: int) -> dict[str, Any]:
    return {
        "class": name,
        "vectorizer": "none",
        "properties": [*properties],
        "vectorIndexConfig": {"skip": True},
        "invertedIndexConfig": {
            "bm25": {"b": LENGTH_WEIGHT, "k1": SATURATION},
            "stopwords": {"preset": "none"},
        },
        "replicationConfig": {
            "factor": replication,
            "deletionStrategy": "TimeBasedResolution",
            **({"asyncConfig": REPAIR} if replication > 1 else {}),
        },
    }

"""What tells whether a document must be embedded again."""

from hashlib import blake2b

import msgspec

from service.ingest.chunking import CHUNKER
from service.ingest.models import Item
from service.models import Metadata


def model_tag(fingerprint: str, passage_tokens: int = 0) -> str:
    """Return what content hashes begin with, of this embedding model and length of passages."""
    made_with = f"{fingerprint}/{passage_tokens}" if passage_tokens else fingerprint
    return blake2b(made_with.encode(), digest_size=4).hexdigest()


def content_hash(item: Item, metadata: Metadata, tag: str) -> str:
    """Hash all that passages and vectors are made of: equal means that nothing is to be done."""
    parts = (CHUNKER, item.title, item.text, item.variants, sorted(metadata.items()))
    return f"{tag}-{blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()}"


def digest_of(hashed: str | None) -> str:
    """Return the part of a content hash that is the same in all generations of a collection; "" of none."""
    return (hashed or "").partition("-")[2]

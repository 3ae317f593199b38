"""What tells whether a document must be embedded again."""

from hashlib import blake2b

import msgspec

from service.ingest.chunking import CHUNKER
from service.ingest.models import Item
from service.models import Metadata


def model_tag(fingerprint: str) -> str:
    """Return what content hashes of this embedding model begin with."""
    return blake2b(fingerprint.encode(), digest_size=4).hexdigest()


def content_hash(item: Item, metadata: Metadata, fingerprint: str) -> str:
    """Hash all that passages and vectors are made of: equal means that nothing is to be done."""
    parts = (CHUNKER, item.title, item.text, item.variants, sorted(metadata.items()))
    return f"{model_tag(fingerprint)}-{blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()}"

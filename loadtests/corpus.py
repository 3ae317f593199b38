"""What the users ask and upload: the product's own documentation, cut into questions that hardly ever repeat."""

import json
import random
import re
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
DOCUMENTS: Final = "load_documents"
FAQ: Final = "load_faq"
CACHED: Final = (
    "how are the two legs of a hybrid search combined",
    "back up and restore the data directory",
    "what happens when a document is imported twice",
    "Prometheus metrics for request latency",
    "set the log level",
)
"""Queries that everybody asks."""
SENTENCE: Final = re.compile(r"[^.|`#*]{30,200}\.")
WORDS_OF_QUERY: Final = (4, 10)


def texts() -> dict[str, str]:
    """Return the documentation by file name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))}


def entries() -> list[dict[str, Any]]:
    """Return the sample FAQ."""
    lines = (ROOT / "service" / "sample" / "faq.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


class Questions:
    """Questions about the documentation and of the FAQ, at random."""

    def __init__(self) -> None:
        self._sentences = [sentence for text in texts().values() for sentence in SENTENCE.findall(text)]
        self._faq = [question for entry in entries() for question in (entry["question"], *entry["variants"])]

    def rag(self) -> str:
        """Return some words of some sentence: nearly never the same again."""
        words = random.choice(self._sentences).split()
        length = random.randint(*WORDS_OF_QUERY)
        start = random.randrange(max(1, len(words) - length))
        return " ".join(words[start : start + length])

    def faq(self) -> str:
        """Return a question as the FAQ knows it, or with a word less."""
        words = random.choice(self._faq).split()
        if len(words) > 4 and random.random() < 0.5:
            del words[random.randrange(len(words))]
        return " ".join(words)

    def document(self) -> dict[str, Any]:
        """Return a short document of sentences."""
        number = random.randrange(100_000)
        text = " ".join(random.choices(self._sentences, k=5))
        return {"id": f"upload-{number}", "title": f"Upload {number}", "text": text, "metadata": {"batch": number % 10}}

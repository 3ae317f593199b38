"""The shipped sample: what the demo imports is complete and true to its promise."""

import re
from collections import Counter

import msgspec

from service.commands.demo import FAQ, sample_documents

ENTRIES = [msgspec.json.decode(line) for line in FAQ.read_bytes().splitlines()]
DOCUMENTS = sorted(sample_documents().rglob("*.md"))


def test_there_are_entries_enough_each_with_variants_and_a_topic() -> None:
    assert len(ENTRIES) >= 32
    for entry in ENTRIES:
        assert entry.keys() == {"id", "question", "variants", "answer", "metadata"}
        assert len(entry["variants"]) >= 3
        assert entry["metadata"]["topic"]


def test_no_question_leads_to_two_entries() -> None:
    questions = Counter(question for entry in ENTRIES for question in {entry["question"], *entry["variants"]})
    assert [question for question, count in questions.items() if count > 1] == []
    assert len({entry["id"] for entry in ENTRIES}) == len(ENTRIES)


def test_every_document_begins_with_its_title() -> None:
    assert DOCUMENTS
    assert [path.name for path in DOCUMENTS if not path.read_text().startswith("# ")] == []


def test_links_between_documents_lead_somewhere() -> None:
    root = sample_documents().parent
    pages = [*DOCUMENTS, root / "README.md"]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^):#]+)\)", page.read_text())]
    assert links
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []

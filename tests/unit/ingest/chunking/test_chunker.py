import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from tokenizers import Tokenizer

from service.embedders.builtin import read_builtin
from service.ingest.chunking import Chunk, Chunker

WINDOW = 64
TOKENIZER = read_builtin().tokenizer
CHUNKER = Chunker(TOKENIZER, WINDOW)
SENTENCE = "The quick brown fox jumps over the lazy dog. "

blocks = some.one_of(
    some.sampled_from(
        [
            "# Heading\n\n",
            "## Sub heading\n\n",
            "Title\n=====\n\n",
            "Part\n----\n\n",
            "``" * 20 + "\n",
            "```\ncode = [1, 2]\n\n# no heading\n```\n",
            SENTENCE,
            SENTENCE * 12,
            "- item\n- item\n" * 15,
            "\n\n",
            " \t\r\n",
            "漢字かな交じり文" * 8,
            "🙂👩‍👩‍👧" * 5,
            "e\u0301\u0300" * 30,
            "x" * 3000,
            "====\n" * 3,
            "\x1c\u2028\u200b",
        ]
    ),
    some.text(max_size=200),
)
texts = some.lists(blocks, max_size=12).map("".join)


def tokens(chunk: Chunk) -> int:
    return len(TOKENIZER.encode(chunk.content).ids)


def without_space(text: str) -> str:
    return "".join(text.split())


@settings(max_examples=200)
@given(title=some.one_of(some.just("A title"), some.text(max_size=400)), text=texts)
def test_every_passage_fits_the_window_and_nothing_is_lost_or_repeated(title: str, text: str) -> None:
    chunks = CHUNKER.split(title, text)
    assert all(tokens(chunk) <= WINDOW for chunk in chunks)
    assert all(chunk.text.strip() for chunk in chunks)
    assert without_space("".join(chunk.text for chunk in chunks)) == without_space(text)
    assert all(chunk.text in text for chunk in chunks)
    assert CHUNKER.split(title, text) == chunks


@given(some.integers(32, 300), texts)
@settings(max_examples=25)
def test_every_window_is_kept(window: int, text: str) -> None:
    chunks = Chunker(TOKENIZER, window).split("A title", text)
    assert all(tokens(chunk) <= window for chunk in chunks)


def test_a_passage_tells_the_headings_above_it() -> None:
    text = f"# Guide\n\n{SENTENCE * 8}\n\n## Install\n\n{SENTENCE * 8}\n\n### Linux\n\n{SENTENCE * 8}"
    chunks = Chunker(TOKENIZER, 128).split("Handbook", text)
    linux = [chunk for chunk in chunks if chunk.text.startswith("### Linux")]
    assert [chunk.context for chunk in linux] == ["Handbook\nGuide > Install"]
    assert chunks[-1].context in {"Handbook\nGuide > Install", "Handbook\nGuide > Install > Linux"}


def test_a_later_passage_of_a_section_tells_the_heading_of_the_section() -> None:
    chunks = CHUNKER.split("Handbook", f"# Install\n\n{SENTENCE * 30}")
    assert chunks[0].text.startswith("# Install")
    assert chunks[0].context == "Handbook"
    assert {chunk.context for chunk in chunks[1:]} == {"Handbook\nInstall"}


def test_a_first_heading_that_is_the_title_is_not_repeated_above_passages() -> None:
    chunks = CHUNKER.split("Handbook", f"# Handbook\n\nIntro.\n\n## Install\n\n{SENTENCE * 30}")
    assert {chunk.context for chunk in chunks} == {"Handbook", "Handbook\nInstall"}


@pytest.mark.parametrize("title", ["word " * 500, "x" * 100_000, "漢" * 5000])
def test_a_long_title_leaves_three_quarters_of_the_window_to_the_text(title: str) -> None:
    for chunk in CHUNKER.split(title, SENTENCE * 30):
        assert len(TOKENIZER.encode(f"{chunk.context}\n", add_special_tokens=False).ids) <= WINDOW // 4
        assert chunk.context


def test_a_long_path_keeps_its_nearest_heading() -> None:
    text = "".join(f"{'#' * level} Heading number {level} of the path\n\n" for level in range(1, 7)) + SENTENCE * 30
    assert CHUNKER.split("Title", text)[-1].context.endswith("Heading number 6 of the path")


def test_a_long_title_over_a_long_heading_keeps_the_beginnings_of_both() -> None:
    text = f"# Heading {'and so on ' * 20}\n\n{SENTENCE * 30}"
    title, heading = CHUNKER.split("Title " * 100, text)[-1].context.split("\n")
    assert title.startswith("Title Title")
    assert heading.startswith("Heading and so on")


@pytest.mark.parametrize("paragraph", [SENTENCE * 40, "word " * 400, "漢字" * 300, "- item of a list\n" * 80])
def test_a_heading_never_stands_alone(paragraph: str) -> None:
    text = f"# First\n\n{paragraph}\n\n## Second\n\n### Third\n\n{paragraph}\n\n# Last\n\n{paragraph}\n\n# End\n"
    for chunk in CHUNKER.split("Title", text):
        assert any(not line.startswith("#") for line in chunk.text.splitlines() if line.strip()), chunk.text


def test_paragraphs_stay_whole_and_code_keeps_its_indentation() -> None:
    code = "    def f():\n        return 1\n"
    text = "\n\n".join([SENTENCE * 3, f"Look::\n\n{code}{code}{code}{code}", SENTENCE * 3, SENTENCE * 3])
    chunks = CHUNKER.split("Title", text)
    assert all(chunk.text.endswith((".", "return 1")) for chunk in chunks)
    assert any("\n    def f():" in chunk.text for chunk in chunks)


def test_a_short_text_is_one_passage() -> None:
    assert CHUNKER.split("T", "  # A\n\nb\n\n# C\n\nd\n") == [Chunk("  # A\n\nb\n\n# C\n\nd", "T")]
    assert CHUNKER.split("", " \n\t ") == []


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        "ab, " * 100_000,
        "# h\n" * 50_000,
        "# h\n\nx\n\n" * 20_000,
        "\n" * 500_000,
        "漢" * 50_000,
        "a\n\n" * 100_000,
    ],
    ids=["one word", "one line", "headings", "small sections", "line ends", "ideographs", "paragraphs"],
)
def test_no_passage_of_a_pathological_text_is_over_long(text: str) -> None:
    chunks = CHUNKER.split("Title", text)
    assert all(len(chunk.text) <= 16 * WINDOW for chunk in chunks)
    assert sum(len(without_space(chunk.text)) for chunk in chunks) == len(without_space(text))


@pytest.mark.anyio
async def test_the_event_loop_runs_on_while_a_thread_splits() -> None:
    text = "\n\n".join(SENTENCE * random.Random(number).randint(1, 20) for number in range(2_000))
    splitting = asyncio.create_task(asyncio.to_thread(CHUNKER.split, "Title", text))
    turns = 0
    while not splitting.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 20


def test_a_window_without_room_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="too small"):
        Chunker(tokenizer, 31)

import io
import logging
import zipfile
from collections.abc import Iterator

import pytest
from docx import Document
from hypothesis import given
from hypothesis import strategies as some
from pypdf import PdfReader, PdfWriter

from service.errors import InvalidDocument
from service.ingest.markup import LARGEST_WORD_XML
from service.ingest.parsing import LARGEST_FILE, PARSERS, parse_file


def pdf_of(*pages: str) -> bytes:
    """A minimal PDF, by hand, with a line of text on each page."""
    numbers = range(4, 4 + 2 * len(pages), 2)
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{' '.join(f'{number} 0 R' for number in numbers)}] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, page in zip(numbers, pages, strict=True):
        content = f"BT /F1 24 Tf 72 720 Td ({page}) Tj ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {number + 1} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    body = "%PDF-1.4\n"
    places = []
    for number, value in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{value}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    trailer = f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF"
    return f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode()


def word_file() -> bytes:
    document = Document()
    document.add_heading("Ordering", level=1)
    document.add_paragraph("Write to us.")
    document.add_heading("Prices", level=2)
    document.add_paragraph("A box is 5 euros.", style="List Bullet")
    table = document.add_table(rows=1, cols=2)
    table.cell(0, 0).text, table.cell(0, 1).text = "Box", "5 euros"
    stored = io.BytesIO()
    document.save(stored)
    return stored.getvalue()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG):
        yield caplog


@pytest.mark.parametrize("name", ["guide.md", "guide.rst", "docs/guide.txt", "GUIDE.MD"])
def test_text_files_are_taken_as_they_are(name: str) -> None:
    document = parse_file(name, "intro\n\nHow to\n======\n\n  text é\r\n".encode())
    assert (document.id, document.title, document.text) == (name, "How to", "intro\n\nHow to\n======\n\n  text é\r\n")
    assert parse_file(name, b"\xef\xbb\xbftext").text == "text"
    assert parse_file(name, b"no heading").title == name.removeprefix("docs/").partition(".")[0]


@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.html", "a.pdf", "a.docx"])
@pytest.mark.parametrize("data", [b"", b" \n", b"\xff\xfe\x00x", b"PK\x03\x04 broken", b"%PDF-1.4 broken"])
def test_files_without_readable_text_are_refused(name: str, data: bytes, log: pytest.LogCaptureFixture) -> None:
    if name.endswith((".md", ".txt", ".html")) and data.startswith((b"PK", b"%PDF")):
        return
    with pytest.raises(InvalidDocument):
        parse_file(name, data)
    assert not log.records


def test_a_file_that_is_not_utf8_says_where() -> None:
    with pytest.raises(InvalidDocument, match="not UTF-8: byte 0xe9 at 3"):
        parse_file("a.txt", "caf\xe9".encode("latin-1"))


def test_html_becomes_text_with_headings() -> None:
    page = """<?xml version="1.0"?><html><head><title> The  shop </title><style>p {color: red}</style></head><body>
    <h1>Prices</h1><p>A <b>box</b> is <a href="https://example.org">5 euros</a>.<script>alert(1)</script></p>
    <h2>Sizes</h2><ul><li>small_one</li><li>large</li></ul><pre>x = 1</pre></body></html>"""
    document = parse_file("shop.html", page.encode())
    assert document.title == "Prices"
    assert "# Prices\n\nA **box** is 5 euros." in document.text
    assert "## Sizes\n\n* small_one\n* large" in document.text
    assert "alert" not in document.text
    assert "color" not in document.text


def test_html_without_headings_has_the_title_of_the_page() -> None:
    assert parse_file("a.html", b"<title>The shop</title><p>text").title == "The shop"
    assert parse_file("a.html", b"<p>text").title == "a"


def test_html_is_read_in_the_character_set_that_it_declares() -> None:
    page = "<meta charset='windows-1252'><p>café</p>".encode("windows-1252")
    assert parse_file("a.html", page).text == "café"
    with pytest.raises(InvalidDocument, match="character set"):
        parse_file("a.html", b"<meta charset='no-such'><p>caf\xe9</p>")


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 100_000 + "text",
        "<p>x</p>" * 1_000_000,
        *(opening * 50_000 for opening in ("<a ", "<a b='", "<!--", "<?", "</", "<a b=c", "<title>", "<script>", "&#")),
        "&#xD800; &#0; x",
    ],
    ids=lambda page: page[:8],
)
def test_hostile_html_is_read_or_refused(page: str) -> None:
    try:
        document = parse_file("a.html", page.encode())
    except InvalidDocument:
        return
    document.text.encode()
    assert "\0" not in document.text


def test_word_files_become_text_with_headings() -> None:
    document = parse_file("shop.docx", word_file())
    assert document.title == "Ordering"
    assert "# Ordering\n\nWrite to us.\n\n## Prices\n\n* A box is 5 euros." in document.text
    assert "| Box | 5 euros |" in document.text


def test_a_truncated_word_file_is_refused() -> None:
    whole = word_file()
    for size in (10, len(whole) // 2, len(whole) - 10):
        with pytest.raises(InvalidDocument):
            parse_file("shop.docx", whole[:size])


def test_a_zip_archive_that_is_no_word_file_is_refused() -> None:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(InvalidDocument):
        parse_file("a.docx", stored.getvalue())


def test_a_word_file_that_unpacks_to_very_much_is_refused() -> None:
    stored = io.BytesIO(word_file())
    with zipfile.ZipFile(stored, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/bomb.xml", b" " * LARGEST_WORD_XML)
    assert len(stored.getvalue()) < 100_000
    with pytest.raises(InvalidDocument, match="unpacks to"):
        parse_file("bomb.docx", stored.getvalue())


def test_entities_that_multiply_are_refused() -> None:
    lines = "".join(f'<!ENTITY e{number} "{f"&e{number - 1};" * 10}">' for number in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "lol">{lines}]><x>&e9;</x>'
    stored = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(word_file())) as source, zipfile.ZipFile(stored, "w") as target:
        for part in source.namelist():
            target.writestr(part, bomb if part == "word/document.xml" else source.read(part))
    with pytest.raises(InvalidDocument):
        parse_file("bomb.docx", stored.getvalue())


def test_pdf_pages_become_text() -> None:
    document = parse_file("report.pdf", pdf_of("Hello world", "Second page"))
    assert (document.title, document.text) == ("report", "Hello world\n\nSecond page")


def test_a_pdf_without_text_is_refused() -> None:
    with pytest.raises(InvalidDocument, match="holds no text"):
        parse_file("scan.pdf", pdf_of(""))


def test_an_encrypted_pdf_is_refused_unless_it_opens_without_a_password() -> None:
    for password, opens in (("secret", False), ("", True)):
        writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf_of("Hello"))))
        writer.encrypt(password, "owner", algorithm="RC4-128")
        stored = io.BytesIO()
        writer.write(stored)
        if opens:
            assert parse_file("a.pdf", stored.getvalue()).text == "Hello"
        else:
            with pytest.raises(InvalidDocument, match="encrypted"):
                parse_file("a.pdf", stored.getvalue())


@given(some.sampled_from(sorted(PARSERS)), some.integers(0, 5_000), some.binary(max_size=40))
def test_whatever_a_file_holds_only_invalid_document_is_raised(suffix: str, place: int, junk: bytes) -> None:
    whole = SAMPLES.get(suffix, b"# text\n")
    broken = whole[:place] + junk + whole[place + len(junk) :]
    try:
        document = parse_file(f"a{suffix}", broken)
    except InvalidDocument:
        return
    assert document.text.strip()


def test_unknown_formats_and_too_large_files_are_refused() -> None:
    with pytest.raises(InvalidDocument, match=r"known format; those are \.md"):
        parse_file("a.exe", b"text")
    with pytest.raises(InvalidDocument, match="50,000,001 bytes"):
        parse_file("a.txt", b"x" * (LARGEST_FILE + 1))


SAMPLES = {".pdf": pdf_of("Hello world"), ".docx": word_file()}

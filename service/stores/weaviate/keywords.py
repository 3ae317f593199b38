"""Texts as the keyword leg compares them: analysed here, since Weaviate neither stems nor takes names apart.

Close to the embedded store's analyser, which is Qdrant's: English stopwords and Snowball stems, without accents, and of
snake_case_name the parts and the whole. Weaviate only divides at white space what this returns.
"""

import re
from collections.abc import Iterator
from typing import Final

from Stemmer import Stemmer

from service.stores.stopwords import STOPWORDS
from service.stores.words import WORD, folded

NAME: Final = re.compile(r"\w+")
LONGEST_TERM: Final = 255
"""Characters; what is longer is no word that anybody asks for."""


class Analyser:
    """Turns texts into terms. Its stemmer remembers words: one for each thread."""

    def __init__(self) -> None:
        self._stemmer = Stemmer("english")

    def terms(self, text: str) -> str:
        """Return the terms of a text or of a query, in their order and as often as they occur."""
        return " ".join(self._stemmer.stemWords(list(_words(text))))


def _words(text: str) -> Iterator[str]:
    for name in NAME.findall(folded(text)):
        words = WORD.findall(name)
        if len(words) > 1:
            yield name[:LONGEST_TERM]
        yield from (word[:LONGEST_TERM] for word in words if word not in STOPWORDS)

"""Words of a text and their BM25 scores, for the store in memory; the other stores share how both are weighed."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

WORD: Final = re.compile(r"[^\W_]+")
SATURATION: Final = 1.2
"""k1 of BM25: how soon more occurrences of a word stop counting."""
LENGTH_WEIGHT: Final = 0.6
"""b of BM25: how much longer texts are marked down. Passages are cut to similar lengths, so that length says less than
in whole documents: measured better than the usual 0.75 on cisi (nDCG@10, hybrid: 0.454 against 0.450), and on finding
PEPs by title (MRR 0.757, 0.755)."""
SHORTEST_STEM: Final = 3
STOPWORDS: Final = frozenset(
    WORD.findall(
        "a about an and are as at be been but by can do does for from had has have how i if in into is it its me my no"
        " not of on or our should so such that the their then there these they this to was we were what when where"
        " which who why will with would you your"
    )
)


def words(text: str) -> list[str]:
    """Return the words that count: runs of letters and digits, lower-case, without accents, stopwords and endings."""
    return [stem(word) for word in WORD.findall(folded(text)) if word not in STOPWORDS]


def folded(text: str) -> str:
    """Return the text in small letters without accents."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def stem(word: str) -> str:
    """Take plural s, -ing and -ed off, and what they doubled: less than the Snowball stemmer of the embedded store."""
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= SHORTEST_STEM:
            base = word.removesuffix(ending)
            return base[:-1] if base[-1] == base[-2] and base[-1] not in "lsz" else base
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > SHORTEST_STEM:
        return word[:-1]
    return word


def bm25_scores(query: Sequence[str], texts: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Score the texts that share a word with the query, which may repeat words; keys as in `texts`."""
    average = sum(map(len, texts.values())) / len(texts) if texts else 0.0
    counts = {key: Counter(text) for key, text in texts.items()}
    scores: dict[str, float] = {}
    for word, asked in Counter(query).items():
        holders = [key for key, counted in counts.items() if word in counted]
        rarity = math.log(1 + (len(texts) - len(holders) + 0.5) / (len(holders) + 0.5))
        for key in holders:
            count = counts[key][word]
            damping = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * len(texts[key]) / average)
            scores[key] = scores.get(key, 0.0) + asked * rarity * count * (SATURATION + 1) / (count + damping)
    return scores

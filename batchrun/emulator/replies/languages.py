"""Which language a text is written in: frequent words, labels, letters and scripts."""

from __future__ import annotations

import re
from collections import Counter

from batchrun.emulator.replies.labels import Page
from batchrun.emulator.replies.lexicon import STOP_WORDS

_WORD = re.compile(r"[^\W\d_]+")
_LETTERS = {
    language: re.compile(rf"[{letters}]", re.IGNORECASE)
    for language, letters in {
        "de": "ßäöü", "fr": "çèêëàâîôûœ", "es": "ñ¿¡áíóú", "pt": "ãõçâê", "it": "àèìòù", "sv": "åäö", "da": "æøå",
        "pl": "ąęłńśźż", "cs": "ěščřžýůď", "tr": "ğışçöü",
    }.items()
}  # fmt: skip
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u4e00-\u9fff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("uk", re.compile(r"[іїєґ]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
)
_PERSIAN = re.compile(r"[پچژگکی]")
#: Names of languages in English, for properties that take a name and not a code.
NAMES = {
    "english": "en", "german": "de", "french": "fr", "spanish": "es", "portuguese": "pt", "italian": "it",
    "dutch": "nl", "swedish": "sv", "danish": "da", "polish": "pl", "czech": "cs", "turkish": "tr", "persian": "fa",
    "farsi": "fa", "japanese": "ja", "korean": "ko", "chinese": "zh", "greek": "el", "hebrew": "he", "hindi": "hi",
    "ukrainian": "uk", "russian": "ru", "arabic": "ar",
}  # fmt: skip
_STOPS = {
    word: [language for language, words in STOP_WORDS.items() if word in words.split()]
    for word in " ".join(STOP_WORDS.values()).split()
}
_LOOKED_AT = 6_000
#: Two frequent words, or a label that no other language has.
_ENOUGH = 8


def language_of(text: str, page: Page) -> str | None:
    """The ISO 639-1 code; None where the text says too little."""
    text = text[:_LOOKED_AT]
    if not text.isascii() and (script := _script(text)):
        return script
    scores = _word_scores(text) + _label_scores(page)
    if not scores:
        return None
    best, score = max(scores.items(), key=lambda item: (item[1], item[0]))
    return best if score >= _ENOUGH else None


def _script(text: str) -> str | None:
    for language, script in _SCRIPTS:
        if len(script.findall(text)) > len(text) // 50 + 2:
            return "fa" if language == "ar" and _PERSIAN.search(text) else language
    return None


def _word_scores(text: str) -> Counter[str]:
    scores: Counter[str] = Counter()
    for word, count in Counter(_WORD.findall(text.casefold())).items():
        for language in _STOPS.get(word, ()):
            scores[language] += 4 * min(count, 5)
    if not text.isascii():
        for language, letters in _LETTERS.items():
            scores[language] += 4 * len(set(letters.findall(text)))
    return scores


def _label_scores(page: Page) -> Counter[str]:
    """A label speaks for its language; one that several languages share says less."""
    scores: Counter[str] = Counter()
    for hit in {(hit.concepts, hit.languages): hit for hit in page.hits}.values():
        for language in hit.languages:
            scores[language] += 12 * hit.size // len(hit.languages) ** 2
    return scores

"""Text normalisation: one pure function, applied once, when a corpus is prepared."""

import unicodedata
from collections import Counter

# What people type for an apostrophe: the typographic and modifier forms, grave, acute, prime.
_APOSTROPHES = dict.fromkeys(map(ord, "\u2019\u2018\u02bc\u02b9`\u00b4\u2032\uff07"), "'")
# Soft hyphen, joiners, marks of direction, byte order mark: a space there would cut a word in two.
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200c\u200d\u200e\u200f\u2060\ufeff"))


def normalise(text: str, *, case: str = "lower", punctuation: str = "'") -> str:
    """Bring a transcript into the form that a recogniser learns to write.

    Unicode NFC; every apostrophe becomes '; case as asked; punctuation and symbols become
    spaces, but for those in `punctuation` inside or beside a word; runs of white space become
    one space. Letters, marks and digits of every script stay. Applying it twice changes nothing.

    Args:
        text: any transcript.
        case: "lower", "upper" or "keep".
        punctuation: the punctuation characters to keep.

    Raises:
        ValueError: `case` is none of the three.
    """
    kept = (
        c if unicodedata.category(c)[0] in "LMN" or c in punctuation else " "
        for c in _folded(text, case)
    )
    words = "".join(kept).split()
    return " ".join(w for w in words if any(c not in punctuation for c in w))


def removed_characters(text: str, *, case: str = "lower", punctuation: str = "'") -> "Counter[str]":
    """The characters other than white space that `normalise` takes out of a transcript."""
    before = Counter("".join(_folded(text, case).split()))
    return before - Counter(normalise(text, case=case, punctuation=punctuation))


def _folded(text: str, case: str) -> str:
    """NFC, one apostrophe, one case; every visible character is still there."""
    if case not in ("lower", "upper", "keep"):
        raise ValueError(f"text.case={case!r} is unknown: choose lower, upper or keep")
    text = unicodedata.normalize("NFC", text.translate(_INVISIBLE))
    if case != "keep":
        text = text.lower() if case == "lower" else text.upper()
        text = unicodedata.normalize("NFC", text)  # case folding may leave a decomposed pair
    return text.translate(_APOSTROPHES)  # last: upper case of U+0149 holds a modifier apostrophe

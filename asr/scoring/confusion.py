"""Which words (or characters) go wrong, and what is heard for them, over a whole test set."""

from collections import Counter
from collections.abc import Iterable, Sequence

from asr.scoring.error_rate import ErrorCounts
from asr.scoring.word_alignment import Place


def confusions(texts: Iterable[Sequence[Place]]) -> Counter[Place]:
    """How often each wrong place occurs; those of nothing are insertions and deletions."""
    return Counter(place for places in texts for place in places if not place.is_right)


def errors_by_word(texts: Iterable[Sequence[Place]]) -> dict[str, ErrorCounts]:
    """The errors of each word: of those spoken the substitutions and deletions, and insertions.

    A substitution is counted with the word that was said. Over all words they add up to the
    errors of the test set.
    """
    places = Counter(place for text in texts for place in text)
    found: Counter[tuple[str, int]] = Counter()
    for (said, heard), count in places.items():
        if said is None:
            found[str(heard), 1] += count
            continue
        found[said, 3] += count
        if said != heard:
            found[said, 2 if heard is None else 0] += count
    words = sorted({word for word, _ in found})
    return {word: ErrorCounts(*(found[word, kind] for kind in range(4))) for word in words}

"""What a search may output: words, how tokens spell them, and what each step is worth."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.core.compiled import frozen
from asr.decoder.hypotheses import NO_MODEL, OF_TOKENS, OF_WORDS, Graph, Scorer
from asr.decoder.lexicon import (
    NO_SPACE,
    NOWHERE,
    OUTSIDE,
    ROOT,
    Lexicon,
    build_lexicon,
    look_ahead,
    spelt,
)
from asr.language_model.base import END, START, UNKNOWN
from asr.language_model.flat import EMPTY
from asr.language_model.ngram import NGram

_LEAST = -500.0  # nats that are ever paid ahead
_SPACE = "\u2581"  # how language models of tokens write a space

_log = logging.getLogger(__name__)


class Words(NamedTuple):
    """The words that a search knows.

    lexicon: their graph. numbers: (W,) int32, the language model's. bonuses: (W,) nats.
    closed: whether no other word may be output.
    """

    lexicon: Lexicon
    numbers: NDArray[np.int32]
    bonuses: NDArray[np.float64]
    closed: bool


def build_words(
    model: NGram | None,
    lexicon: str | None,
    hotwords: Mapping[str, float],
    texts: Sequence[str],
) -> Words:
    """Gather the words of a language model, a lexicon and hotwords.

    Args:
        model: of words; None if there is none.
        lexicon: a file, "lm" or None, as of `Beam`.
        texts: what each token spells; the first is the blank's.

    Raises:
        ValueError: a file cannot be read, or words cannot be spelt.
    """
    alphabet = set("".join(texts))
    if model and _SPACE in model.numbers:
        raise ValueError(
            f"decoder.lm lists {_SPACE!r}, a space, as a word: it is a model of characters or "
            "other tokens, for decoder.lm_unit=token"
        )
    listed = _in_case_of(alphabet, model) if model else {}
    _check_hotwords(hotwords)
    if lexicon == "lm" and model is None:
        raise ValueError("decoder.lexicon=lm needs decoder.lm, a language model of words")
    own = [] if lexicon in (None, "lm") else _read_lexicon(Path(str(lexicon)))
    chosen = dict.fromkeys(own or listed)
    chosen |= dict.fromkeys(hotwords)
    graph = build_lexicon(list(chosen), texts)
    if chosen and (graph.spaces == NO_SPACE).all():
        raise ValueError(
            "decoding by words needs a token that begins with a space, and here none does. In "
            "asr.decode, space= names the symbol that stands for one; in a script without spaces, "
            "take decoder.lm_unit=token, and neither decoder.lexicon nor decoder.hotwords"
        )
    strange = {w for w, good in zip(chosen, spelt(graph), strict=True) if not good}
    for name, words in (f"decoder.lexicon={lexicon}", own), ("decoder.hotwords", hotwords):
        _check_spelling([w for w in words if w in strange], name, alphabet)
    if strange:
        _log.warning("%d of the language model's words cannot be spelt: left out", len(strange))
    if lexicon is not None and len(strange) == len(chosen):
        raise ValueError(f"decoder.lexicon={lexicon} holds no word that the tokens can spell")
    unknown = model.unknown if model else 0
    return Words(
        graph,
        np.array([listed.get(word, unknown) for word in chosen], np.int32),
        np.array([hotwords.get(word, 0.0) for word in chosen], np.float64),
        lexicon is not None,
    )


def _check_hotwords(hotwords: Mapping[str, float]) -> None:
    if not isinstance(hotwords, Mapping):
        raise ValueError(f"decoder.hotwords={hotwords} must be words and nats: {{zebra: 5, ...}}")
    for word, bonus in hotwords.items():
        if not isinstance(word, str) or len(word.split()) != 1 or word != word.strip():
            raise ValueError(
                f"decoder.hotwords: {word!r} must be one word, in quotes if it could be read as a "
                "number; give the words of a phrase one by one"
            )
        if isinstance(bonus, bool) or not isinstance(bonus, int | float) or not abs(bonus) <= 100:
            raise ValueError(f"decoder.hotwords: {word}: {bonus} must be nats, -100 to 100")


def _check_spelling(strange: Sequence[str], named: str, alphabet: set[str]) -> None:
    if strange:
        odd = sorted(set("".join(strange)) - alphabet)
        raise ValueError(
            f"{named}: the tokens cannot spell {len(strange)} of its words: "
            f"{', '.join(strange[:5])}"
            + (f" (no token holds {' '.join(odd[:10])})" if odd else "")
            + "; write them as the training transcripts are"
        )


def _in_case_of(alphabet: set[str], model: NGram) -> dict[str, int]:
    """The model's words and their numbers, in capitals or small letters if the tokens are."""
    own = {w: i for i, w in enumerate(model.vocabulary) if w not in (START, END, UNKNOWN)}
    best, most = own, sum(map(alphabet.issuperset, own))
    for fold in (str.lower, str.upper):
        folded: dict[str, int] = {}
        for word, number in own.items():
            folded.setdefault(fold(word), number)
        if (count := sum(map(alphabet.issuperset, folded))) > most:
            best, most = folded, count
    if best is not own:
        _log.warning("the language model's words are taken in the case of the tokens")
    return best


def _read_lexicon(path: Path) -> list[str]:
    if not path.is_file():
        raise ValueError(
            f"decoder.lexicon={path}: no such file; lm takes the language model's words"
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"decoder.lexicon={path}: {error}") from None
    words = [line.split()[0] for line in lines if line.strip()]
    if not words:
        raise ValueError(f"decoder.lexicon={path}: the file holds no words; write one a line")
    return words


def build_scorer(model: NGram | None, unit: int, weight: float, texts: Sequence[str]) -> Scorer:
    """A language model as the search takes it.

    Raises:
        ValueError: a model of tokens knows none of them.
    """
    numbers = np.zeros(len(texts), np.int32)
    if model is None:
        return Scorer(EMPTY, NO_MODEL, 0.0, -1, -1, -1, frozen(numbers))
    if unit == OF_TOKENS:
        names = [text.replace(" ", _SPACE) for text in texts]
        numbers[1:] = [model.number(name) for name in names[1:]]
        known = int((numbers[1:] != model.unknown).sum())
        if 2 * known < len(names) - 1:
            raise ValueError(
                f"decoder.lm knows {known} of the {len(names) - 1} tokens "
                f"({', '.join(names[1:6])}, ...); is it a model of words? Then decoder.lm_unit=word"
            )
    end = -1 if model.end is None else model.end
    return Scorer(model.flat, unit, weight, model.start, model.unknown, end, frozen(numbers))


def build_graph(words: Words, scorer: Scorer, word_score: float, most_ahead: float) -> Graph:
    """What each step through the words is worth, under a scorer's weight.

    most_ahead: nats of a hotword that are paid where it begins, so that all else is not cut off
        before it is known whether the hotword was said.
    """
    lexicon = words.lexicon
    by_words = scorer.unit == OF_WORDS
    unigrams = scorer.flat.log_probs * scorer.weight if by_words else np.zeros(1)
    values = np.minimum(words.bonuses, most_ahead) + (unigrams[words.numbers] if by_words else 0.0)
    ahead = look_ahead(lexicon, np.maximum(values, _LEAST))
    ahead[OUTSIDE] = max(unigrams[scorer.unknown] if by_words else 0.0, _LEAST)
    if not words.closed:  # a word may end anywhere, as an unknown one
        ahead[1:] = np.maximum(ahead[1:], ahead[OUTSIDE])
    bonuses = np.zeros(len(ahead))
    numbers = np.full(len(ahead), -1 if words.closed else max(scorer.unknown, 0), np.int32)
    ends = lexicon.words >= 0
    bonuses[ends] = words.bonuses[lexicon.words[ends]]
    numbers[ends] = words.numbers[lexicon.words[ends]]
    spaces = lexicon.spaces.copy()
    if not words.closed:
        spaces[spaces == NOWHERE] = OUTSIDE
    begin = np.ones(len(ahead))  # the word score is given where a word begins
    begin[ROOT] = math.exp(word_score)
    sources = np.repeat(np.arange(len(ahead)), np.diff(lexicon.first))
    begun = np.where(spaces > ROOT, np.exp(ahead[np.maximum(spaces, ROOT)]) * begin[ROOT], 1.0)
    leave = np.zeros(len(ahead)) if words.closed else np.exp(ahead[OUTSIDE] - ahead) * begin
    factors = np.exp(ahead[lexicon.targets] - ahead[sources]) * begin[sources]
    return Graph(
        first=frozen(lexicon.first),
        tokens=frozen(lexicon.tokens),
        targets=frozen(lexicon.targets),
        words=frozen(numbers),
        spaces=frozen(spaces),
        factors=frozen(factors),
        leave=frozen(leave),
        space_factors=frozen(begun),
        ends=frozen(np.exp(bonuses - ahead)),
        most=math.log(max(factors.max(initial=1.0), leave.max())),
    )

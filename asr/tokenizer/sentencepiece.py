"""Pieces of words as tokens, learnt from the transcripts (SentencePiece: arXiv:1808.06226).

Byte-pair encoding (arXiv:1508.07909) or a unigram language model (arXiv:1804.10959). A word's first
piece begins with `\u2581`, which stands for the space before it; a text's first word has one, too.
"""

import io
import struct
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from asr.tokenizer.base import Tokenizer

_BLANK = "<blank>"
_SPACE = "\u2581"
_KINDS = {"unigram": 1, "bpe": 2}  # as the library numbers them
_MOST, _LONGEST, _FARTHEST = 1 << 16, 64, 1e9  # tokens, characters of one, size of a score


class SentencePiece(Tokenizer):
    """One token for each piece. Each character of a piece is a piece as well: none is unknown.

    It is made of plain data, from which the library's model is built anew: a model that a
    stranger has forged is never read.

    Args:
        kind: "bpe" or "unigram".
        pieces: piece i becomes token i + 1; the library's <unk> is where the blank is.
        scores: of each piece; of "unigram" its log-probability, of "bpe" its rank from above.

    Raises:
        ValueError: this is no vocabulary that `train` makes.
    """

    def __init__(self, kind: str, pieces: Sequence[str], scores: Sequence[float]) -> None:
        if kind not in tuple(_KINDS):  # of a stranger it may be anything
            raise ValueError(f"tokenizer.kind={kind!r:.80} must be bpe or unigram")
        _check_vocabulary(pieces, scores)
        self._kind, self._pieces, self._scores = kind, tuple(pieces), tuple(scores)
        self._spellings = ("", *(piece.replace(_SPACE, " ") for piece in pieces))
        self._alphabet = {spelling for spelling in self._spellings if len(spelling) == 1}
        self._library = SentencePieceProcessor(model_proto=_model(kind, pieces, scores))

    @classmethod
    def train(
        cls, texts: Iterable[str], *, kind: str, vocab_size: int, max_piece: int, max_texts: int
    ) -> "SentencePiece":
        """Learn pieces from transcripts; the same texts, in any order, give the same pieces.

        Args:
            kind: "bpe" or "unigram".
            vocab_size: V, the blank included.
            max_piece: characters of the longest piece, the space before a word included.
            max_texts: of more, so many at least are learnt from, spread evenly; all characters
                become pieces nevertheless.

        Raises:
            ValueError: the texts hold no character, or one that no piece may hold; they give
                fewer tokens than `vocab_size`, or have more characters.
        """
        _check_options(kind, vocab_size, max_piece, max_texts)
        sample, alphabet = _sample(texts, max_texts)
        _check_room(alphabet, vocab_size)
        size = vocab_size
        # What a size too large gives may be too large itself, as pruning then begins elsewhere.
        while len(found := _learn(sample, alphabet, kind, size, max_piece)) < size:
            size = len(found)
        if size < vocab_size:
            raise ValueError(
                f"tokenizer.vocab_size={vocab_size} is more than the training transcripts give: "
                f"take {size} or less"
            )
        return cls(kind, *zip(*found[1:], strict=True))

    @property
    def symbols(self) -> tuple[str, ...]:
        """The blank's name and the pieces."""
        return (_BLANK, *self._pieces)

    def encode(self, text: str) -> list[int]:
        """The likeliest pieces, or those of byte-pair encoding; ValueError where one is missing."""
        if unknown := self.unknown(text):
            raise ValueError(
                f"none of the {len(self._pieces)} pieces holds {_names(unknown)}; normalise the "
                "text as the training transcripts were, or train on transcripts that hold it"
            )
        tokens: list[int] = self._library.encode(text)
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """The pieces one after the other, without the space before the first word."""
        for token in tokens:
            if not 1 <= token <= len(self._pieces):
                raise ValueError(
                    f"token {token} stands for no piece: tokens are 1..{len(self._pieces)}, and 0 "
                    "is the blank, which a decoder drops"
                )
        return "".join([self._spellings[token] for token in tokens]).removeprefix(" ")

    def spell(self, token: int) -> str:
        return self._spellings[token]

    def unknown(self, text: str) -> set[str]:
        """The characters of a text that no piece holds."""
        return set(text) - self._alphabet

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "_target_": "asr.tokenizer.sentencepiece.SentencePiece",
            "kind": self._kind,
            "pieces": list(self._pieces),
            "scores": list(self._scores),
        }


def _check_options(kind: str, vocab_size: int, max_piece: int, max_texts: int) -> None:
    if kind not in _KINDS:
        raise ValueError(f"tokenizer.kind={kind} must be bpe or unigram")
    for name, value, most in (("vocab_size", vocab_size, _MOST), ("max_piece", max_piece, _LONGEST),
                              ("max_texts", max_texts, 1 << 31)):  # fmt: skip
        if not 1 <= value <= most:
            raise ValueError(f"tokenizer.{name}={value} must be 1 to {most}")


def _check_room(alphabet: set[str], vocab_size: int) -> None:
    if odd := {c for c in alphabet if not _fit_for_a_piece(c)}:
        raise ValueError(
            f"no piece may hold {_names(odd)}; normalise the transcripts, or take tokenizer=char"
        )
    if not alphabet - {" "}:
        raise ValueError("no training transcript holds a character but spaces")
    least = len(alphabet | {" "}) + 1
    if vocab_size < least:
        raise ValueError(
            f"tokenizer.vocab_size={vocab_size} has no room for the {least - 1} characters of the "
            f"training transcripts and the blank; take {least} or more"
        )


def _sample(texts: Iterable[str], most: int) -> tuple[list[str], set[str]]:
    """Every n-th text, sorted, for the least n that leaves fewer than twice as many as wanted."""
    kept: list[str] = []
    alphabet: set[str] = set()
    step = 1
    for i, text in enumerate(texts):
        alphabet.update(text)
        if i % step == 0:
            kept.append(text)
        if len(kept) == 2 * most:
            kept, step = kept[::2], 2 * step
    return sorted(kept), alphabet


def _learn(
    texts: Sequence[str], alphabet: set[str], kind: str, size: int, max_piece: int
) -> list[tuple[str, float]]:
    """At most so many tokens and their scores, the blank first."""
    written = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=written,
        model_type=kind,
        vocab_size=size,
        hard_vocab_limit=False,
        character_coverage=1.0,
        required_chars="".join(sorted(alphabet - {" "})),
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        max_sentencepiece_length=max_piece,
        max_sentence_length=1 << 30,  # bytes: else longer ones would be left out
        split_by_unicode_script=False,  # an apostrophe or a number may be part of a piece
        split_by_number=False,
        unk_id=0,
        unk_piece=_BLANK,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    model = SentencePieceProcessor(model_proto=written.getvalue())
    return [(model.id_to_piece(i), model.get_score(i)) for i in range(len(model))]


def _model(kind: str, pieces: Sequence[str], scores: Sequence[float]) -> bytes:
    """The library's model, as sentencepiece_model.proto lays it out.

    Without a normaliser, and without taking away spaces.
    """

    def field(number: int, content: bytes) -> bytes:
        size = len(content)
        assert size < 1 << 14
        return bytes([number << 3 | 2, size & 127 | 128, size >> 7]) + content

    def piece(text: str, score: float, of_type: int) -> bytes:
        return field(
            1, field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + bytes([0x18, of_type])
        )

    return b"".join(
        [
            piece(_BLANK, 0.0, 2),  # unknown
            *(piece(text, score, 1) for text, score in zip(pieces, scores, strict=True)),
            field(2, bytes([0x18, _KINDS[kind]])),
            field(3, bytes([0x20, 0])),  # remove_extra_whitespaces
        ]
    )


def _check_vocabulary(pieces: Sequence[str], scores: Sequence[float]) -> None:
    if not 1 <= len(pieces) == len(scores) < _MOST:
        raise ValueError(
            f"{len(pieces)} pieces and {len(scores)} scores: both must be as many, 1 to {_MOST - 1}"
        )
    for piece, score in zip(pieces, scores, strict=True):
        if not isinstance(piece, str) or not 1 <= len(piece) <= _LONGEST or piece == _BLANK:
            raise ValueError(f"the piece {piece!r:.80} is not a text of 1 to {_LONGEST} characters")
        if not all(map(_fit_for_a_piece, piece.removeprefix(_SPACE))) or " " in piece:
            raise ValueError(f"the piece {piece!r:.80} holds a character that no piece may hold")
        if type(score) is not float or not abs(score) <= _FARTHEST:
            raise ValueError(f"the score of {piece!r}, {score!r:.80}, is not a number within 1e9")
    known = set(pieces)
    if len(known) < len(pieces):
        raise ValueError("a piece stands there twice")
    if missing := {_SPACE, *"".join(pieces)} - known:
        raise ValueError(f"{_names(missing)} must be a piece of its own")


def _fit_for_a_piece(character: str) -> bool:
    """No control character, half of a pair, or what the library has a use of its own for."""
    return unicodedata.category(character) not in ("Cc", "Cs") and character not in "\u2581\u2585"


def _names(characters: Iterable[str]) -> str:
    return ", ".join(
        f"{c!r} ({unicodedata.name(c, f'U+{ord(c):04X}')})" for c in sorted(characters)
    )

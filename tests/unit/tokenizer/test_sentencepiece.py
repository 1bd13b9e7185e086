"""Pieces: a lossless round trip, the library's own cut, and vocabularies that cannot be."""

import io
import json
import math
import pickle
import random

import pytest
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from support import CONFIGS

from asr.corpus.grammar import sentences, transcript
from asr.tokenizer.sentencepiece import SentencePiece

KINDS = pytest.mark.parametrize("kind", ["bpe", "unigram"])
LETTERS = st.characters(
    exclude_categories=("Cc", "Cs"), exclude_characters="\u2581\u2585", max_codepoint=0x1F6FF
)
TEXTS = [*map(transcript, sentences(400, seed=1)), "at  noon we don't"]


def train(kind: str, texts: list[str], size: int = 160, **changes: int) -> SentencePiece:
    options = {"max_piece": 16, "max_texts": 1000} | changes
    return SentencePiece.train(iter(texts), kind=kind, vocab_size=size, **options)


def largest(kind: str, texts: list[str]) -> SentencePiece:
    """As many pieces as the texts give: the message names the number."""
    with pytest.raises(ValueError, match="more than the training transcripts give") as error:
        train(kind, texts, 1 << 16)
    return train(kind, texts, int(str(error.value).split()[-3]))


@KINDS
@given(st.data())
def test_round_trip_over_the_alphabet(kind, data):
    texts = data.draw(st.lists(st.text(LETTERS | st.sampled_from(" ab")), min_size=1, max_size=6))
    if not "".join(texts).replace(" ", ""):
        texts.append("a")
    tokenizer = largest(kind, texts)
    alphabet = sorted({" ", *"".join(texts)})
    for text in [*texts, data.draw(st.text(st.sampled_from(alphabet), max_size=40))]:
        tokens = tokenizer.encode(text)
        assert tokenizer.decode(tokens) == text
        assert all(0 < token < len(tokenizer) for token in tokens)
        assert tokenizer.unknown(text) == set()
        assert [w for w, _ in tokenizer.words(tokens)] == text.split()


@KINDS
def test_pieces_are_cut_as_the_library_cuts_them(kind):
    """By the very model that the library trained, its other options being as they are."""
    written = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(sorted(TEXTS)), model_writer=written, model_type=kind,
        vocab_size=160, unk_id=0, bos_id=-1, eos_id=-1, normalization_rule_name="identity",
        remove_extra_whitespaces=False, split_by_unicode_script=False, character_coverage=1.0,
        num_threads=1, minloglevel=2,
    )  # fmt: skip
    library = SentencePieceProcessor(model_proto=written.getvalue())
    tokenizer = train(kind, TEXTS)
    assert len(tokenizer) == len(library) == 160
    assert tokenizer.symbols[1:] == tuple(library.id_to_piece(i) for i in range(1, 160))
    rng = random.Random(0)
    for _ in range(300):
        start = rng.randrange(20)
        text = (
            "".join(rng.choices(rng.choice(TEXTS)[start:] + " ", k=3)) + rng.choice(TEXTS)[start:]
        )
        assert tokenizer.encode(text) == library.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert any(len(symbol) > 3 for symbol in tokenizer.symbols[1:])


@KINDS
def test_the_order_of_transcripts_does_not_matter(kind):
    assert train(kind, TEXTS).state() == train(kind, TEXTS[::-1]).state()


@KINDS
def test_a_checkpoint_and_a_loader_process_rebuild_it(kind):
    tokenizer = train(kind, TEXTS)
    again = instantiate(json.loads(json.dumps(tokenizer.state())))  # plain data survives
    moved = pickle.loads(pickle.dumps(tokenizer))
    assert again.state() == moved.state() == tokenizer.state()
    for text in TEXTS:
        assert again.encode(text) == moved.encode(text) == tokenizer.encode(text)


@pytest.mark.parametrize("name", ["bpe", "unigram"])
def test_the_yaml_trains_one(name):
    config = OmegaConf.load(CONFIGS / "tokenizer" / f"{name}.yaml")
    tokenizer = instantiate(config, TEXTS, vocab_size=40)
    assert len(tokenizer) == 40 and tokenizer.state()["kind"] == name


def test_words_begin_where_the_space_is():
    pieces = ["▁", "a", "b", "▁a", "▁ab"]
    tokenizer = SentencePiece("unigram", pieces, [-3.0, -3.0, -3.0, -2.0, -1.0])
    tokens = tokenizer.encode("  ab aab  b")
    assert [tokenizer.symbols[token] for token in tokens] == [
        "▁", "▁", "▁ab", "▁a", "a", "b", "▁", "▁", "b",
    ]  # fmt: skip
    assert tokenizer.words(tokens) == [
        ("ab", slice(2, 3)), ("aab", slice(3, 6)), ("b", slice(8, 9)),
    ]  # fmt: skip
    assert tokenizer.decode(tokens[3:]) == "aab  b"
    assert "".join(map(tokenizer.spell, tokens)) == "   ab aab  b"


@KINDS
def test_unknown_characters_are_named_not_dropped(kind):
    tokenizer = train(kind, TEXTS)
    with pytest.raises(ValueError, match=r"holds '!' \(EXCLAMATION MARK\), 'é' \(LATIN SMALL"):
        tokenizer.encode("a é!")
    assert tokenizer.unknown("a ▁é") == {"▁", "é"}


@KINDS
def test_of_many_transcripts_some_are_learnt_from_and_all_characters_kept(kind):
    texts = TEXTS * 20 + ["ñ"]
    assert len(texts) % 2
    tokenizer = train(kind, [*texts[::-1], "ß"], 160, max_texts=100)
    assert tokenizer.decode(tokenizer.encode("ñ ß")) == "ñ ß"


@KINDS
def test_no_piece_is_longer_than_wished(kind):
    assert max(map(len, train(kind, TEXTS, 40, max_piece=3).symbols[1:])) == 3
    assert max(map(len, largest_of_characters(kind).symbols[1:])) == 1


def largest_of_characters(kind: str) -> SentencePiece:
    return train(kind, TEXTS, len({" ", *"".join(TEXTS)}) + 1, max_piece=1)


@pytest.mark.parametrize("tokens", [[1, 0], [160], [-1]])
def test_decode_refuses_the_blank_and_what_is_outside(tokens):
    with pytest.raises(ValueError, match=f"token {tokens[-1]} stands for no piece"):
        train("bpe", TEXTS).decode(tokens)


@pytest.mark.parametrize(
    ("texts", "changes", "message"),
    [
        (["ab"], {"size": 3}, "vocab_size=3 has no room for the 3 characters .* take 4 or more"),
        (["ab"], {"size": 1 << 17}, "vocab_size=131072 must be 1 to 65536"),
        (["ab"], {"max_piece": 0}, "max_piece=0 must be 1 to 64"),
        (["ab"], {"max_texts": 0}, "max_texts=0"),
        (["a\u2581b"], {}, r"no piece may hold '▁' \(LOWER ONE EIGHTH BLOCK\)"),
        (["a\tb"], {}, r"no piece may hold '\\t'"),
        (["", "  "], {}, "holds a character but spaces"),
        ([], {}, "holds a character but spaces"),
    ],
)
def test_texts_and_options_that_cannot_be(texts, changes, message):
    with pytest.raises(ValueError, match=message):
        train("unigram", texts, **changes)
    with pytest.raises(ValueError, match="kind=word"):
        train("word", TEXTS)


# --- vocabularies of strangers --------------------------------------------------------------------

ODD_PIECES = st.text(st.sampled_from("ab▁ \0\n▅é\ud800😀"), max_size=70) | st.sampled_from(
    ["<blank>", "<unk>", "a" * 64, None, 3, ["a"]]
)
ODD_SCORES = st.floats() | st.sampled_from([0, None, "1", True, 1e9, -1e9, 1e38])


@given(
    st.sampled_from(["bpe", "unigram"]) | st.sampled_from([None, "char", ["bpe"], {}]),
    st.lists(st.tuples(ODD_PIECES, ODD_SCORES), max_size=12),
    st.booleans(),
)
def test_a_forged_vocabulary_is_refused_or_works(kind, entries, complete):
    if complete:  # with all that is missing, so that more are taken
        have = [piece for piece, _ in entries]
        texts = "".join(piece for piece in have if isinstance(piece, str))
        entries += [(c, 1.5) for c in sorted({"▁", *texts}) if c not in have]
    pieces, scores = [p for p, _ in entries], [s for _, s in entries]
    try:
        tokenizer = SentencePiece(kind, pieces, scores)
    except ValueError:
        return
    assert all(math.isfinite(score) for score in scores)
    for text in ("", "a", "a b", "".join(pieces).replace("▁", " ") * 3):
        assert tokenizer.unknown(text) - {"a", "b", " "} == set()
        if not tokenizer.unknown(text):
            assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "word"}, "kind='word' must be bpe or unigram"),
        ({"pieces": []}, "0 pieces and 3 scores"),
        ({"scores": [0.0]}, "3 pieces and 1 scores"),
        ({"pieces": ["▁", "a", "a"]}, "twice"),
        ({"pieces": ["▁", "a", "ab"]}, r"'b' \(LATIN SMALL LETTER B\) must be a piece of its own"),
        ({"pieces": ["a", "b", "ab"]}, r"'▁' \(LOWER ONE EIGHTH BLOCK\) must be a piece"),
        ({"pieces": ["▁", "a", "a▁"]}, "'a▁' holds a character that no piece may hold"),
        ({"pieces": ["▁", "a", "a\0"]}, "holds a character that no piece may hold"),
        ({"pieces": ["▁", "a", "a" * 65]}, "not a text of 1 to 64 characters"),
        ({"pieces": ["▁", "a", "<blank>"]}, "'<blank>' is not a text"),
        ({"scores": [0.0, 1.0, math.nan]}, "the score of 'b', nan, is not a number within 1e9"),
        ({"scores": [0.0, 1.0, 1e38]}, "1e\\+38, is not a number within 1e9"),
    ],
)
def test_vocabularies_that_cannot_be(changes, message):
    good = {"kind": "bpe", "pieces": ["▁", "a", "b"], "scores": [0.0, -1.0, -2.0]}
    assert SentencePiece(**good).encode("a b") == [1, 2, 1, 3]
    with pytest.raises(ValueError, match=message):
        SentencePiece(**good | changes)

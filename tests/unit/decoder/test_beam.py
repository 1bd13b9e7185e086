"""Beam search beside its exactness: determinism, times, options, and input that is wrong."""

import logging
import math
import threading
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from random_arpa import random_arpa
from support import CONFIGS

from asr.core.padded import Padded
from asr.decoder.beam import Beam
from asr.decoder.greedy import Greedy
from asr.language_model.arpa import write_arpa
from asr.language_model.ngram import NGram
from asr.tokenizer.base import Tokenizer
from asr.tokenizer.char import Char
from asr.tokenizer.symbols import Symbols

TOKENIZER = Char(" abc")
WORDS = ["a", "b", "ab", "ba", "cab", "abba"]


def beam(tokenizer: Tokenizer = TOKENIZER, **options: object) -> Beam:
    node = OmegaConf.to_container(OmegaConf.load(CONFIGS / "decoder" / "beam.yaml"))
    return Beam(tokenizer, **{k: v for k, v in (node | options).items() if k != "_target_"})


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("lm") / "words.arpa.gz"
    write_arpa(random_arpa(WORDS, 3, seed=1), path)
    return str(path)


def random_log_probs(lengths: list[int], size: int = 5, scale: float = 3.0) -> Padded:
    generator = torch.Generator().manual_seed(sum(lengths))
    values = scale * torch.randn(len(lengths), max(lengths), size, generator=generator)
    return Padded(values.log_softmax(-1), torch.tensor(lengths))


def spelt_path(path: list[int], size: int = 5, sure: float = 0.9) -> Padded:
    """Posteriors that are sure of one path."""
    values = torch.full((1, len(path), size), (1 - sure) / (size - 1))
    values[0, torch.arange(len(path)), path] = sure
    return Padded(values.log(), torch.tensor([len(path)]))


@settings(deadline=None, max_examples=30)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=9),
    more=st.integers(0, 5),
    junk=st.sampled_from([math.nan, 9.0, math.inf]),
    threads=st.integers(1, 3),
    nbest=st.integers(1, 4),
)
def test_padding_company_and_threads_change_nothing(arpa, lengths, more, junk, threads, nbest):
    log_probs = random_log_probs(lengths)
    values = torch.nn.functional.pad(log_probs.values, (0, 0, 0, more))
    values = values.masked_fill(~Padded(values, log_probs.lengths).mask[..., None], junk)
    one = beam(lm=arpa, nbest=nbest, threads=1)
    alone = [
        one(Padded(log_probs.values[i : i + 1, :n], torch.tensor([n])))[0]
        for i, n in enumerate(lengths)
    ]
    together = beam(lm=arpa, nbest=nbest, threads=threads)(Padded(values, log_probs.lengths))
    assert together == alone


def test_two_callers_at_once_get_what_each_gets_alone(arpa):
    decoder, batches = beam(lm=arpa, threads=2), [random_log_probs([n] * 20) for n in (30, 31)]
    expected = [decoder(batch) for batch in batches]
    found: list[object] = [None, None]

    def call(i: int) -> None:
        found[i] = [decoder(batches[i]) for _ in range(5)][-1]

    callers = [threading.Thread(target=call, args=[i]) for i in (0, 1)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == expected


def test_times_are_the_frames_at_which_tokens_begin():
    path = [0, 2, 2, 0, 3, 0, 0, 1, 2, 2]  # a b _ a
    [[best]] = beam(word_score=0.0)(spelt_path(path))
    assert (best.tokens, best.timesteps) == ((2, 3, 1, 2), (1, 4, 7, 8))
    assert best.text == "ab a"


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.sampled_from([1.0, 4.0, 20.0]))
def test_times_ascend_and_lie_in_the_utterance(frames, scale):
    for best in beam(nbest=5)(random_log_probs([frames], scale=scale))[0]:
        assert len(best.timesteps) == len(best.tokens)
        assert list(best.timesteps) == sorted(set(best.timesteps))
        assert all(0 <= t < frames for t in best.timesteps)


def test_a_long_sure_path_is_followed_to_its_end():
    generator = torch.Generator().manual_seed(0)
    log_probs = spelt_path(torch.randint(5, (5000,), generator=generator).tolist(), sure=0.99)
    [[ours]], [[greedy]] = beam(word_score=0.0)(log_probs), Greedy(TOKENIZER)(log_probs)
    assert (ours.tokens, ours.timesteps) == (greedy.tokens, greedy.timesteps)
    assert greedy.score <= ours.score < 0  # all paths of a text are worth more than its best


def test_many_tokens_and_wide_beams():
    tokenizer = Char([chr(0x4E00 + i) for i in range(400)])
    log_probs = random_log_probs([40], size=401, scale=1.0)
    wide = {"beam_size": 300, "beam_threshold": None, "token_threshold": None, "nbest": 300}
    found = beam(tokenizer, **wide)(log_probs)[0]
    assert len(found) == 300 and len({h.tokens for h in found}) == 300
    few = beam(tokenizer, beam_size_token=3)(log_probs)[0]
    assert few[0].score <= found[0].score + 1e-9


@pytest.mark.parametrize("gap", [0.1, 5.0, 9.9, 10.1, 30.0])
def test_a_token_within_the_threshold_lives_on_and_no_other(gap):
    values = torch.tensor([[0.0, -40.0, -gap, -40.0, -40.0]]).log_softmax(-1)
    decoder = beam(beam_threshold=10.0, token_threshold=None, blank_skip_threshold=None, nbest=9)
    found = {h.tokens for h in decoder(Padded(values[None], torch.tensor([1])))[0]}
    assert found == ({(), (2,)} if gap < 10 else {()})


@pytest.mark.parametrize(
    ("option", "value", "tokens"),
    [
        ("beam_size_token", 1, {2}), ("beam_size_token", 2, {2, 3}),
        ("beam_size_token", 4, {2, 3, 1, 4}), ("token_threshold", -1.0, {2}),
        ("token_threshold", -2.0, {2, 3}), ("token_threshold", None, {2, 3, 1, 4}),
    ],
)  # fmt: skip
def test_tokens_that_are_not_looked_at_lead_nowhere(option, value, tokens):
    values = torch.tensor([[0.1, 0.05, 0.55, 0.25, 0.05]]).log()
    options = {"token_threshold": None, "nbest": 9} | {option: value}
    found = {
        h.tokens for h in beam(Char("abcd"), **options)(Padded(values[None], torch.tensor([1])))[0]
    }
    assert found == {(), *((token,) for token in tokens)}


def test_of_equals_the_first_fill_the_beam():
    size = 50
    tokenizer = Char([chr(0x4E00 + i) for i in range(size - 1)])
    flat = torch.full((1, 2, size), -math.log(size))
    decoder = beam(tokenizer, beam_size=4, nbest=4, recombine=False)
    found = [h.tokens for h in decoder(Padded(flat, torch.tensor([2])))[0]]
    assert found == [(1,), (2,), (3,), ()]


def test_prefixes_that_stay_are_cut_among_equals_too():
    """Three that stay are equal, and three new ones better: one of the equals fits in."""
    shut = -math.inf
    frames = torch.tensor(
        [
            [math.log(1 / 3), math.log(1 / 3), math.log(1 / 3), shut, shut],
            [math.log(0.2), shut, shut, math.log(0.8), shut],
            [math.log(0.5), shut, shut, math.log(0.5), shut],
        ]
    )
    decoder = beam(Char("abcd"), beam_size=4, nbest=4, recombine=False)
    found = decoder(Padded(frames[None], torch.tensor([3])))[0]
    assert [h.tokens for h in found] == [(3,), (1, 3), (2, 3), ()]
    # Only the empty prefix was still there to give to its child in the last frame.
    expected = [0.8 + 0.1, 0.8, 0.8, 0.1]
    assert [3 * math.exp(h.score) for h in found] == pytest.approx(expected)


def test_n_best_texts_differ():
    found = beam(nbest=20)(random_log_probs([30]))[0]
    assert len(found) == len({h.text for h in found}) == 20


def test_of_the_same_future_the_n_best_live_on():
    frames = [[1e-9, 1e-9, 0.5, 0.3, 1e-9, 0.2], [1e-9, 1e-9, 1e-9, 1e-9, 1.0, 1e-9]]
    log_probs = Padded(torch.tensor([frames]).log(), torch.tensor([2]))
    for nbest in (1, 2, 3):
        found = beam(Char(" abcd"), nbest=nbest)(log_probs)[0]
        assert [h.text for h in found] == ["ac", "bc", "dc"][:nbest]


@pytest.mark.parametrize("skip", [None, 0.5])
def test_the_score_of_a_long_silence(skip):
    silence = spelt_path([0] * 3000, sure=0.9)
    [[best]] = beam(blank_skip_threshold=skip, beam_size=1)(silence)
    assert best.tokens == () and best.score == pytest.approx(3000 * math.log(0.9), rel=1e-5)


def test_a_prefix_that_comes_back_still_gives_to_its_child(tmp_path):
    (tmp_path / "words.txt").write_text("ab\n")
    a, b = [0.4, 0, 0.6, 0, 0], [0.4, 0, 0, 0.6, 0]  # or a blank
    values = torch.tensor([[[0.5, 0, 0.5, 0, 0], b, a, b]]).log()
    decoder = beam(lexicon=str(tmp_path / "words.txt"), beam_size=2, blank_skip_threshold=None)
    [[best]] = decoder(Padded(values, torch.tensor([4])))
    # "a" was cut off in the second frame and is found again in the third.
    stays, comes_back = 0.5 * 0.6 * 0.4 * 0.4, 0.5 * 0.4 * 0.6 * 0.6
    assert best.text == "ab" and math.exp(best.score) == pytest.approx(stays + comes_back)


def test_skipping_sure_blanks_gives_what_searching_them_gives():
    path = [0] * 50 + [2, 0, 0, 0, 3, 3] + [0] * 50
    log_probs = spelt_path(path, sure=1 - 1e-9)
    [[searched]] = beam(blank_skip_threshold=None)(log_probs)
    [[skipped]] = beam(blank_skip_threshold=0.999)(log_probs)
    assert (skipped.tokens, skipped.timesteps) == (searched.tokens, searched.timesteps)
    assert skipped.score == pytest.approx(searched.score, abs=1e-5)


def test_repeats_on_both_sides_of_skipped_blanks_are_two_tokens():
    assert beam()(spelt_path([2, 0, 2], sure=1 - 1e-9))[0][0].text == "aa"


def test_hotwords_win_where_sounds_do_not_decide():
    values = torch.tensor([[0.1, 0.0, 0.46, 0.44, 0.0]]).log()  # a or b
    log_probs = Padded(values[None], torch.tensor([1]))
    assert beam()(log_probs)[0][0].text == "a"
    assert beam(hotwords={"b": 1.0})(log_probs)[0][0].text == "b"
    assert beam(hotwords={"b": 1.0, "a": 2})(log_probs)[0][0].text == "a"


def test_a_closed_lexicon_gives_its_words_only(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("ab\tspelling is not read\n\ncab\n")
    found = beam(lexicon=str(path), nbest=10)(random_log_probs([30]))[0]
    assert {word for h in found for word in h.text.split()} <= {"ab", "cab"}


def test_words_that_break_off_are_unknown_and_given_where_nothing_else_is(tmp_path, arpa):
    path = tmp_path / "words.txt"
    path.write_text("abba\n")
    sure = spelt_path([2, 3], sure=1.0)  # exactly "ab", the beginning of a word
    [[best]] = beam(lexicon=str(path), lm=arpa, lm_weight=0.7, word_score=0.4)(sure)
    model = NGram.open(Path(arpa))
    unknown, state = model.score(model.start, model.unknown)
    assert best.text == "ab"
    assert best.score == pytest.approx(0.4 + 0.7 * (unknown + model.finish(state)))


def test_where_every_path_is_ruled_out_the_text_is_empty(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("abba\n")
    [[best]] = beam(lexicon=str(path))(spelt_path([4, 4], sure=1.0))  # "c" begins no word
    assert (best.text, best.tokens, best.score) == ("", (), -math.inf)


def test_no_frames_and_no_utterances(arpa):
    [[best]] = beam()(Padded(torch.zeros(1, 0, 5), torch.tensor([0])))
    assert (best.text, best.score) == ("", 0.0)
    assert beam(lm=arpa)(Padded(torch.zeros(0, 7, 5), torch.zeros(0, dtype=torch.int64))) == []


@pytest.mark.parametrize("lengths", [[25, 20], [-1, 20], [20]])
def test_lengths_that_cannot_be_are_refused(lengths):
    with pytest.raises(ValueError, match="for 2 utterances of 20 frames"):
        beam()(Padded(random_log_probs([20, 20]).values, torch.tensor(lengths)))


def test_a_hotword_that_was_not_said_cuts_nothing_off():
    path = [2, 0, 4, 0, 1, 0, 4]  # "ac c"
    [[best]] = beam(hotwords={"ab": 30})(spelt_path(path, sure=1 - 4e-9))
    assert best.text == "ac c"
    unsure = spelt_path(path, sure=0.96)
    everything = beam(hotwords={"ab": 30}, beam_threshold=None)(unsure)
    assert beam(hotwords={"ab": 30})(unsure)[0][0].text == everything[0][0].text


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_words_of_probability_zero(tmp_path, weight):
    path = tmp_path / "zero.arpa"
    path.write_text(
        "\\data\\\nngram 1=5\nngram 2=1\n\n\\1-grams:\n-99\t<s>\t-0.3\n-1\t</s>\n-0.5\ta\t-inf\n"
        "-inf\tb\n-inf\t<unk>\n\n\\2-grams:\n-0.1\t<s> a\n\n\\end\\\n"
    )
    decoder = beam(lm=str(path), lm_weight=weight, word_score=0.0)
    [[best]] = decoder(spelt_path([2, 1, 3], sure=0.99))
    assert best.text == ("a b" if weight == 0 else "")  # what follows "a" is impossible


def test_nan_and_logits_are_errors_that_name_the_utterance():
    log_probs = random_log_probs([4, 5])
    log_probs.values[1, 4, 2] = math.nan
    with pytest.raises(ValueError, match="utterance 1 in the batch hold NaN"):
        beam()(log_probs)
    with pytest.raises(ValueError, match=r"utterance 0 in the batch hold 7, above 0.*log_softmax"):
        beam()(Padded(torch.full((1, 2, 5), 7.0), torch.tensor([2])))
    with pytest.raises(ValueError, match="9 symbols a frame, but the tokenizer has 5"):
        beam()(random_log_probs([4], size=9))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("beam_size", 0), ("beam_size", "many"), ("beam_threshold", 0), ("beam_size_token", 0),
        ("token_threshold", 1), ("blank_skip_threshold", 2), ("lm_weight", -1),
        ("word_score", math.nan), ("nbest", 0), ("nbest", 101), ("threads", 0),
        ("lm_unit", "phrase"), ("lm_unit", "token"), ("lm", "nowhere.arpa"),
        ("lexicon", "none.txt"), ("lexicon", "lm"), ("hotwords", {"a b": 1}),
        ("hotwords", {"a": None}), ("hotwords", {"a": math.nan}), ("hotwords", {"a": 1000}),
        ("hotwords", {123: 5}), ("beam_size", 1.5),
    ],
)  # fmt: skip
def test_options_out_of_range_are_named(option, value):
    with pytest.raises(ValueError, match=f"{option}|such language model"):
        beam(**{option: value})


def test_lexicons_that_cannot_be_are_refused(tmp_path, arpa):
    path = tmp_path / "words.txt"
    path.write_text("\n \n")
    with pytest.raises(ValueError, match="the file holds no words"):
        beam(lexicon=str(path))
    path.write_text("ab\nzebra\nAB\n")
    with pytest.raises(ValueError, match=r"cannot spell 2 of its words: zebra, AB .*no token hold"):
        beam(lexicon=str(path))
    with pytest.raises(ValueError, match=r"decoder\.hotwords: the tokens cannot spell 1"):
        beam(hotwords={"zebra": 1})
    with pytest.raises(ValueError, match="needs a token that begins with a space"):
        beam(Char("abc"), lm=arpa)
    with pytest.raises(ValueError, match="holds no word that the tokens can spell"):
        beam(Char("xyz "), lm=arpa, lexicon="lm")
    with pytest.raises(ValueError, match="knows 0 of the 4 tokens"):
        beam(Char("xyz "), lm=arpa, lm_unit="token")


def test_a_model_of_characters_is_not_taken_for_one_of_words(tmp_path):
    path = tmp_path / "characters.arpa"
    write_arpa(random_arpa(["a", "b", "c", "\u2581"], 2, seed=1), path)
    beam(lm=str(path), lm_unit="token")
    with pytest.raises(ValueError, match=r"a model of characters .* decoder\.lm_unit=token"):
        beam(lm=str(path))


def test_words_that_cannot_be_spelt_are_counted(arpa, caplog):
    with caplog.at_level(logging.WARNING):
        beam(Char("ab "), lm=arpa)
    assert "1 of the language model's words cannot be spelt" in caplog.text


def test_a_model_in_capitals_serves_small_letters(tmp_path, caplog):
    path = tmp_path / "capitals.arpa"
    write_arpa(random_arpa([w.upper() for w in WORDS], 2, seed=3), path)
    small = tmp_path / "small.arpa"
    write_arpa(random_arpa(WORDS, 2, seed=3), small)
    log_probs = random_log_probs([30])
    with caplog.at_level(logging.WARNING):
        assert beam(lm=str(path))(log_probs) == beam(lm=str(small))(log_probs)
    assert "in the case of the tokens" in caplog.text


def test_other_weights_are_another_decoder_of_the_same_words(arpa):
    log_probs = random_log_probs([30, 20])
    first = beam(lm=arpa, lm_weight=0.1)
    other = first.with_options(lm_weight=1.5, word_score=2.0, beam_size=20)
    assert other(log_probs) == beam(lm=arpa, lm_weight=1.5, word_score=2.0, beam_size=20)(log_probs)
    assert first(log_probs) == beam(lm=arpa, lm_weight=0.1)(log_probs)
    with pytest.raises(ValueError, match="lexicon cannot change"):
        first.with_options(lexicon="lm")
    with pytest.raises(ValueError, match="beam_size=0"):
        first.with_options(beam_size=0)


@settings(deadline=None, max_examples=60)
@given(
    frames=st.integers(0, 30),
    seed=st.integers(0, 2**32),
    scale=st.sampled_from([0.0, 1.0, 50.0, 1e4]),
    impossible=st.floats(0, 0.9),
    tokenizer=st.sampled_from([TOKENIZER, Symbols(["-", "_", "_a", "b", "ab"], "_")]),
    options=st.fixed_dictionaries(
        {
            "lexicon": st.sampled_from([None, "lm"]),
            "lm_weight": st.sampled_from([0.0, 0.5, 50.0]),
            "word_score": st.sampled_from([-50.0, 0.0, 50.0]),
            "beam_size": st.sampled_from([1, 2, 50]),
            "beam_threshold": st.sampled_from([None, 0.01, 12.0]),
            "beam_size_token": st.sampled_from([None, 1, 3]),
            "token_threshold": st.sampled_from([None, -3.0]),
            "blank_skip_threshold": st.sampled_from([None, 1e-3, 1.0]),
            "recombine": st.booleans(),
            "hotwords": st.sampled_from([None, {"ab": 30.0}, {"b": -30.0}]),
        }
    ),
)
def test_whatever_comes_there_is_an_answer(
    arpa, frames, seed, scale, impossible, tokenizer, options
):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(2, frames, 5, generator=generator) * scale
    values[torch.rand(values.shape, generator=generator) < impossible] = -math.inf
    values = values.log_softmax(-1).nan_to_num(-math.inf, neginf=-math.inf)
    lengths = torch.tensor([frames, frames // 2])
    for found in beam(tokenizer, lm=arpa, **options)(Padded(values, lengths)):
        assert found and all(not math.isnan(h.score) for h in found)
        assert all(1 <= t < 5 for h in found for t in h.tokens)


def test_the_yaml_builds_it(repository: Path):
    node = OmegaConf.load(repository / "configs/decoder/beam.yaml")
    assert instantiate(node, TOKENIZER)(random_log_probs([9])) == beam()(random_log_probs([9]))

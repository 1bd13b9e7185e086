"""Reference losses are what they claim, and the check before training counts what does not fit."""

import itertools
import math

import numpy as np
import pytest
import torch

import asr.training.fit as fit_file
from asr.core.padded import Padded
from asr.corpus.manifest import Manifest, Utterance
from asr.ctc.loss import min_frames, posterior_limit
from asr.tokenizer.char import Char
from asr.training.fit import Fit, check_transcripts
from asr.training.health import Health, deaf_loss, untrained_loss
from asr.wiring.recognizer import build_recognizer

TEXTS = ["ab", "aab", "b", "abab"]


def fit_of(tokens: list[tuple[int, ...]], frames: list[int]) -> Fit:
    needed = np.array([min_frames(t) for t in tokens])
    rows = np.flatnonzero((np.array(frames) >= needed) & (needed > 0))
    counts = np.bincount([t for ts in tokens for t in ts])
    return Fit(np.array(frames), needed, counts, rows, tuple(tokens[i] for i in rows))


def test_untrained_loss_counts_alignments() -> None:
    fit = fit_of([(1, 2), (1, 1)], [4, 4])

    def paths(tokens: tuple[int, ...]) -> int:
        return sum(
            tuple(s for s, _ in itertools.groupby(path) if s) == tokens
            for path in itertools.product(range(3), repeat=4)
        )

    expected = sum(4 * math.log(3) - math.log(paths(t)) for t in fit.tokens) / 4
    assert untrained_loss(fit, 3) == pytest.approx(expected, rel=1e-5)


def test_no_constant_model_is_much_better_than_the_deaf_one() -> None:
    rng = np.random.default_rng(0)
    tokens = [tuple(rng.choice([1, 1, 1, 2, 3], 6).tolist()) for _ in range(30)]
    fit = fit_of(tokens, [20] * 30)
    found = deaf_loss(fit)
    logits = torch.zeros(4, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    targets = torch.tensor(tokens)
    for _ in range(200):
        values = logits.log_softmax(-1).expand(20, 30, -1)
        loss = torch.nn.functional.ctc_loss(
            values, targets, torch.full((30,), 20), torch.full((30,), 6), reduction="sum"
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert 0.999 <= found * 180 / loss.item() <= 1.05
    assert found < untrained_loss(fit, 4)


def test_nothing_fits() -> None:
    assert math.isnan(deaf_loss(fit_of([(1, 1)], [2])))


def test_the_limit_of_a_second_softmax() -> None:
    sure = torch.tensor([1.0, 0, 0, 0]).softmax(-1)
    assert float(sure.max()) == pytest.approx(posterior_limit(4))


@pytest.mark.parametrize(
    ("change", "symptom"),
    [
        ({}, None),
        ({"train/confident_share": 0.0}, "sure of nothing: no posterior exceeded 0.576"),
        ({"train/infeasible_share": 0.6}, "most transcripts do not fit"),
        ({"train/loss": 9.0}, "does not listen"),
        ({"train/loss": math.nan}, "does not listen"),
    ],
)
def test_each_symptom_is_enough_at_the_asked_update_only(change: dict, symptom: str) -> None:
    health = Health(fit_of([(1, 2)] * 4, [9] * 4), 3, 30)
    healthy = {"train/loss": 0.1, "train/confident_share": 0.9, "train/infeasible_share": 0.0}
    health.recall([healthy | {"train/weight_norm": 1.0, "train/relative_step": 1e-3}] * 3)
    for step in range(1, 30):
        assert not health.watch(step, healthy | change)
    assert health.watch(30, healthy | change) == (symptom is not None)
    features = Padded(torch.randn(1, 50, 4), torch.tensor([50]))
    if symptom is not None:
        assert symptom in health.diagnose(30, features)


def test_stuck_after_is_checked() -> None:
    with pytest.raises(ValueError, match="stuck_after=-1"):
        Health(fit_of([(1,)], [3]), 3, -1)


def manifest(*durations: float) -> Manifest:
    rows = enumerate(zip(durations, TEXTS, strict=True))
    return Manifest([Utterance(f"u{i}", "x.wav", d, text) for i, (d, text) in rows], "mine")


@pytest.fixture
def recognizer(compose_config):
    config = compose_config("train", "experiment=tones")  # 40 ms a frame

    return build_recognizer(config, Char(["a", "b"]))


def test_what_does_not_fit_is_counted_with_its_remedy(recognizer) -> None:
    said: list[str] = []
    # 0.035 s are 4 frames of features, 1 of output; `aab` needs 4, so that even a stride of 1 fits
    fit = check_transcripts(manifest(1, 0.035, 1, 0.075), recognizer, 0.5, said.append)
    assert fit.frames.tolist() == [26, 1, 26, 2] and fit.needed.tolist() == [2, 4, 1, 4]
    assert "2 of 4 transcripts are too long" in said[0] and "40 ms a frame" in said[0]
    assert said[0].index("u1: 4 frames needed, 1 there, from 0.04 s: 'aab'") < said[0].index("u3:")
    assert "stride is 4 frames of 10 ms: with 3 (30 ms) 2 would" in said[0]
    assert "with 1 (10 ms) none would" in said[0]
    with pytest.raises(ValueError, match=r"more than data\.max_infeasible=0\.25"):
        check_transcripts(manifest(1, 0.035, 1, 0.075), recognizer, 0.25, said.append)
    with pytest.raises(ValueError, match="at a stride of 1, still 1 would"):
        check_transcripts(manifest(1, 0.011, 1, 1), recognizer, 0, said.append)
    assert len(said) == 1 and check_transcripts(manifest(1, 1, 1, 1), recognizer, 0, said.append)
    assert len(said) == 1


def test_only_the_worst_ten_are_shown(recognizer) -> None:
    many = Manifest([Utterance(f"u{i}", "x", 0.01 + i / 1000, "a" * 30) for i in range(25)], "mine")
    with pytest.raises(ValueError, match="25 of 25") as error:
        check_transcripts(many, recognizer, 0, print)
    assert str(error.value).count("frames needed") == 10


def test_what_takes_long_is_found_out_once(recognizer, tmp_path, monkeypatch) -> None:
    place = tmp_path / "run/transcripts.kept"

    def seen(manifest: Manifest) -> tuple[list[int], list[int], tuple[tuple[int, ...], ...]]:
        fit = check_transcripts(manifest, recognizer, 0, print, place)
        return fit.needed.tolist(), fit.counts.tolist(), fit.tokens

    train = manifest(1, 1, 1, 1)
    whole = seen(train)
    assert not place.exists(), "a moment's work is not kept"
    assert whole[0] == [2, 4, 1, 4] and whole[1] == [0, 5, 5]
    assert whole[2] == ((1, 2), (1, 1, 2), (2,), (1, 2, 1, 2))
    monkeypatch.setattr(fit_file, "_PIECE", 3)
    assert seen(train) == whole
    first = place.stat()
    assert seen(train) == whole and place.stat() == first
    assert seen(Manifest([*train][::-1], "mine"))[0] == [4, 1, 4, 2]
    assert place.stat() != first
    odd = Manifest([*train, Utterance("odd", "x", 1, "abc")], "mine")
    with pytest.raises(ValueError, match=r"mine: utterance odd: .*'c'"):
        seen(odd)

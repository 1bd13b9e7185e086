"""Codecs: a telephone's band, G.711's quality at every level, and nothing late."""

import numpy as np
import pytest
from sounds import RATE, decibels, delay, power, rng, scene, talk, tone

from asr.augment.codec import Codec

KINDS = ("g711", "gsm", "opus", "mp3")


def through(kind: str) -> Codec:
    return Codec(probability=1.0, kinds=[kind])


@pytest.mark.parametrize("kind", ["g711", "gsm"])
def test_a_telephone_carries_its_band_only(kind: str) -> None:
    white = (0.1 * rng().standard_normal(4 * RATE)).astype(np.float32)
    heard = through(kind)(white, rng(), scene())
    spectrum = np.abs(np.fft.rfft(heard)) ** 2
    hertz = np.fft.rfftfreq(len(heard), 1 / RATE)
    inside = spectrum[(hertz > 350) & (hertz < 3350)].mean()
    outside = spectrum[(hertz < 250) | (hertz > 3450)].mean()
    assert decibels(outside, inside) < -50


@pytest.mark.parametrize("hertz", [400, 1000, 3300])
def test_g711_keeps_its_band_as_it_is(hertz: float) -> None:
    clean = np.float32(0.3) * tone(hertz)
    heard = through("g711")(clean, rng(), scene())
    middle = slice(2000, -2000)
    assert decibels(power(clean[middle]), power((heard - clean)[middle])) > 33


@pytest.mark.parametrize("level_db", [-33, -20, -10, -3])
def test_g711_has_the_quality_of_its_standard_at_every_level(level_db: float) -> None:
    """ITU-T G.712 demands 33 dB of signal to distortion over a range of 30 dB."""
    clean = np.float32(10 ** (level_db / 20)) * tone(1015)
    heard = through("g711")(clean, rng(), scene())
    assert 33 < decibels(power(clean), power(heard - clean)) < 42  # and 8 bits give no more


def test_rumble_that_no_telephone_carries_takes_no_bits() -> None:
    soft = np.float32(0.01) * tone(1000)
    heard = through("g711")(soft + np.float32(0.5) * tone(60), rng(), scene())
    middle = slice(4000, -4000)
    assert decibels(power(soft[middle]), power((heard - soft)[middle])) > 25


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [8000, RATE])
def test_no_codec_is_late_or_loses_the_end(kind: str, rate: int) -> None:
    original = talk(RATE + 7)
    heard = through(kind)(original, rng(), scene(rate=rate))
    assert len(heard) == len(original)
    assert delay(heard, original) == 0
    assert power(heard[-1600:]) > 0.3 * power(original[-1600:])
    assert np.abs(heard - original).max() > 0


def test_too_loud_is_not_clipped() -> None:
    for kind in KINDS:
        soft, loud = (through(kind)(np.float32(g) * talk(RATE), rng(), scene()) for g in (1, 30))
        assert decibels(power(loud), power(soft)) == pytest.approx(20 * np.log10(30), abs=0.5)


def test_kinds_are_equally_likely_and_come_as_often_as_asked() -> None:
    augment, clean = Codec(probability=0.5, kinds=["g711", "gsm"]), talk(800)
    one, other = (through(kind)(clean, rng(), scene()).tobytes() for kind in ("g711", "gsm"))
    heard = [augment(clean, rng(seed), scene()).tobytes() for seed in range(400)]
    assert abs(heard.count(one) - 100) < 40 and abs(heard.count(other) - 100) < 40
    assert abs(heard.count(clean.tobytes()) - 200) < 50


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kinds": []}, r"augment\.codec\.kinds=\[\] must name some of g711, gsm, opus, mp3"),
        ({"kinds": ["g711", "mp4"]}, r"augment\.codec\.kinds=\['g711', 'mp4'\] must name"),
        ({"probability": 2.0}, r"augment\.codec\.probability=2\.0 must be from 0 to 1"),
    ],
)
def test_options_out_of_range(options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Codec(**({"probability": 0.5, "kinds": ["g711"]} | options))  # type: ignore[arg-type]

"""Timed words as files: read back by programs that others wrote."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from praatio import textgrid as praat

from asr.recognizer.words import TimedText, Word
from asr.reporting.timed_text import Delivery, as_json, ctm, srt, textgrid, vtt


def timed(*words: tuple[str, float, float], duration: float = 60.0) -> TimedText:
    spoken = tuple(
        Word(text, start, end, 0.5, (Word(text[0], start, end, 0.5),)) for text, start, end in words
    )
    return TimedText("a b.wav", "/x/a b.wav", 0.0, duration, spoken)


@st.composite
def speeches(draw):
    words, now = [], 0.0
    for text in draw(
        st.lists(st.sampled_from(["a", 'b"q', "<i>&", "word.", "é" * 30]), max_size=40)
    ):
        start = now + draw(st.sampled_from([0.0, 0.03, 0.4, 3.0]))
        now = start + draw(st.sampled_from([0.03, 0.3, 9.0]))
        words.append((text, start, now))
    return timed(*words, duration=now + 1)


@given(speeches())
def test_praat_reads_the_textgrid(tmp_path_factory, speech: TimedText) -> None:
    path = tmp_path_factory.mktemp("grid") / "a.TextGrid"
    path.write_text(textgrid(speech), encoding="utf-8")
    grid = praat.openTextgrid(str(path), includeEmptyIntervals=False)
    assert grid.maxTimestamp == pytest.approx(speech.duration, abs=1e-5)
    for tier, words in (
        ("words", speech.words), ("tokens", [t for w in speech.words for t in w.tokens])
    ):  # fmt: skip
        entries = grid.getTier(tier).entries
        assert [e.label for e in entries] == [w.text for w in words]
        assert [e.start for e in entries] == pytest.approx([w.start for w in words], abs=1e-5)
        assert [e.end for e in entries] == pytest.approx([w.end for w in words], abs=1e-5)


@given(speeches())
def test_subtitles_hold_every_word_in_time(speech: TimedText) -> None:
    for render, form in ((srt, "srt"), (vtt, "vtt")):
        if not speech.words:  # silence; pysubs2 takes an empty file for no file
            assert render(speech) == {"srt": "", "vtt": "WEBVTT\n\n"}[form]
            continue
        cues = list(
            pysubs2.SSAFile.from_string(
                render(speech), format_=form, keep_html_tags=True, keep_unknown_html_tags=True
            )
        )
        shown = " ".join(cue.text.replace("\\N", " ") for cue in cues)
        for escaped, plain in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
            shown = shown.replace(escaped, plain) if form == "vtt" else shown
        assert shown.split() == [w.text for w in speech.words]
        assert cues[0].start == round(1000 * speech.words[0].start)
        for one, other in pairwise(cues):
            assert one.start < one.end <= other.start + 1  # milliseconds


def test_cues_end_with_sentences_pauses_and_length() -> None:
    many = [(f"word{i:02}", 0.4 * i, 0.4 * i + 0.3) for i in range(40)]
    lines = [c.text.split("\\N") for c in pysubs2.SSAFile.from_string(srt(timed(*many)))]
    assert all(len(line) <= 45 for cue in lines for line in cue) and max(map(len, lines)) == 2
    short = timed(("one.", 0, 0.5), ("two", 0.6, 1), ("three", 2.5, 3))
    assert [c.text for c in pysubs2.SSAFile.from_string(srt(short))] == ["one.", "two", "three"]


def test_ctm_and_json() -> None:
    speech = timed(("so", 0.5, 0.75), ("well - known", 1.0, 1.5))
    assert ctm(speech).splitlines() == [
        "a_b.wav 1 0.500 0.250 so 0.500", "a_b.wav 1 1.000 0.500 well_-_known 0.500",
    ]  # fmt: skip
    content = json.loads(as_json(speech))
    assert content["text"] == "so well - known" and content["duration"] == 60
    assert content["words"][0] == {
        "text": "so", "start": 0.5, "end": 0.75, "confidence": 0.5,
        "tokens": [{"text": "s", "start": 0.5, "end": 0.75, "confidence": 0.5}],
    }  # fmt: skip
    assert TimedText("a", "a", 0, 1, ()).confidence == 1 and not math.isnan(speech.confidence)


def test_delivery(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # a second time replaces the first
        deliver = Delivery(["ctm", "srt", "png"], str(tmp_path), others=["png"])
        deliver(timed(("one", 0, 1)))
        deliver(timed(("two", 0, 1))._replace(name="sub/c.wav"))
    assert len((tmp_path / "words.ctm").read_text().splitlines()) == 2
    assert "one" in (tmp_path / "a b.wav.srt").read_text()
    assert "two" in (tmp_path / "sub" / "c.wav.srt").read_text()
    Delivery(["text"], None)(timed(("one", 0, 1)))
    assert capsys.readouterr().out == "one\n"
    for names, message in (
        (["srtt"], "format=srtt is unknown: choose from text"),
        ([], "names nothing"),
        (["srt", "ctm"], "name a folder with output="),
    ):
        with pytest.raises(ValueError, match=message):
            Delivery(names, None)

"""python -m asr.check: each fault is planted for real, and just that is found."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from omegaconf import DictConfig
from support import REPOSITORY, command, tones_overrides

from asr.check import main
from asr.checking.kinds import KINDS
from asr.corpus.manifest import Utterance, read_manifest, write_manifest
from asr.corpus.tones import SAMPLE_RATE, sing

Found = set[tuple[str, str, str]]  # kind, manifest, id
LETTERS = "abcdefgh"


@dataclass
class Speech:
    """A corpus of tones without a fault, to which a test adds one."""

    folder: Path
    splits: dict[str, list[Utterance]]

    def wav(self, name: str, samples: NDArray[np.floating], rate: int = SAMPLE_RATE) -> str:
        soundfile.write(self.folder / name, samples, rate, subtype="FLOAT")
        return str(self.folder / name)

    def add(self, split: str, audio: str, text: str, **fields: Any) -> None:
        name = fields.pop("id", f"odd{len(self.splits[split])}")
        duration = fields.pop("duration", None) or soundfile.info(audio).duration
        self.splits[split].append(
            Utterance(name, audio, duration, text, f"{split} voice", **fields)
        )

    def write(self) -> list[str]:
        for split, utterances in self.splits.items():
            write_manifest(self.folder / f"{split}.jsonl", utterances)
        return [str(self.folder / f"{split}.jsonl") for split in self.splits]


@pytest.fixture
def speech(tones: Path, tmp_path: Path) -> Speech:
    splits: dict[str, list[Utterance]] = {}
    texts: set[str] = set()
    for split, count in (("test", 12), ("dev", 12), ("train", 80)):
        own = []
        for u in read_manifest(tones / f"{split}.jsonl"):
            if u.text not in texts and len(own) < count:
                own.append(replace(u, speaker=f"{split} {u.speaker}"))
        texts |= {u.text for u in own}
        splits[split] = own
    return Speech(tmp_path, {split: splits[split] for split in ("train", "dev", "test")})


@pytest.fixture
def check(compose_config: Callable[..., DictConfig], tmp_path: Path) -> Callable[..., Found]:
    """check(manifests, *options): what is found."""

    def checked(manifests: list[str], *options: str) -> Found:
        output = tmp_path / "out" / "found.json"
        named = f"inputs=[{','.join(manifests)}]"
        options = ("model=deepspeech2_tiny", named, f"output={output}", *options)
        main(compose_config("check", *options))
        found = json.loads(output.read_text())["findings"]
        return {
            (kind, each["manifest"], each["id"])
            for kind, of_kind in found.items()
            for each in of_kind["utterances"]
        }

    return checked


def sung(text: str, seed: int = 7) -> NDArray[np.float64]:
    return sing(text, 1.0, np.random.default_rng(seed))


def missing(speech: Speech) -> None:
    speech.add("train", str(speech.folder / "no.wav"), "abc", duration=0.5)


def truncated(speech: Speech) -> None:
    audio = Path(speech.wav("cut.wav", sung("ab cd ef")))
    audio.write_bytes(audio.read_bytes()[:-8000])
    speech.add("train", str(audio), "ab cd ef", duration=0.9)


def damaged(speech: Speech) -> None:
    audio = speech.folder / "bad.flac"
    soundfile.write(audio, sung("ab cd ef"), SAMPLE_RATE)
    content = bytearray(audio.read_bytes())
    del content[len(content) // 2 :]
    audio.write_bytes(content)
    speech.add("train", str(audio), "ab cd ef", duration=0.9)


def a_web_page(speech: Speech) -> None:
    (speech.folder / "page.wav").write_text("<html>not found</html>")
    speech.add("dev", str(speech.folder / "page.wav"), "abc", duration=0.5)


def not_finite(speech: Speech) -> None:
    samples = sung("ab cd")
    samples[4000] = np.nan
    speech.add("train", speech.wav("nan.wav", samples), "ab cd")


def claims_too_much(speech: Speech) -> None:
    audio = speech.wav("short.wav", sung("ab cd"))
    speech.add("test", audio, "ab cd", duration=soundfile.info(audio).duration + 0.2)


def begins_beyond_the_end(speech: Speech) -> None:
    speech.add("train", speech.wav("short.wav", sung("ab cd")), "ab cd", offset=9.0)


def claims_too_little(speech: Speech) -> None:
    audio = speech.wav("long.wav", sung("ab cd ef gh"))
    speech.add("train", audio, "ab cd ef gh", duration=soundfile.info(audio).duration - 0.2)


def digital_silence(speech: Speech) -> None:
    speech.add("train", speech.wav("zero.wav", np.zeros(12000)), "ab cd")
    speech.add("test", speech.wav("none.wav", np.zeros(12000)), "ef gc", id="another")


def only_noise(speech: Speech) -> None:
    noise = np.random.default_rng(3).normal(0, 0.02, 12000)
    speech.add("train", speech.wav("noise.wav", noise), "abcd efgh")


def no_text(speech: Speech) -> None:
    speech.add("train", speech.wav("a.wav", sung("abc")), "")
    speech.add("dev", speech.wav("b.wav", sung("bcd")), "", id="empty as well")
    speech.add("test", speech.wav("c.wav", sung("cde")), "  ", id="blank")


def an_unknown_letter(speech: Speech) -> None:
    speech.add("dev", speech.wav("a.wav", sung("abc")), "ab\u00df")


def a_rare_letter(speech: Speech) -> None:
    speech.add("train", speech.wav("a.wav", sung("abc")), "abz")


def too_little_text(speech: Speech) -> None:
    speech.add("train", speech.wav("a.wav", sung("abcd efgh bdfh")), "fa he")


def too_much_text(speech: Speech) -> None:
    speech.add("dev", speech.wav("a.wav", sung("abcd")), "abcdefgh bd")


def too_few_frames(speech: Speech) -> None:
    # So long that the speed is odd as well; repeated, it needs blanks between.
    speech.add("train", speech.wav("a.wav", sung("abc")), "aa bb cc dd ee")


def a_leak(speech: Speech) -> None:
    held_out = speech.splits["test"][3]
    samples, rate = soundfile.read(held_out.audio, dtype="int16")
    soundfile.write(speech.folder / "copy.flac", samples, rate)
    speech.add("train", str(speech.folder / "copy.flac"), "".join(reversed(held_out.text)))


def a_leak_between_held_out_sets(speech: Speech) -> None:
    held_out = speech.splits["test"][3]
    samples, rate = soundfile.read(held_out.audio)
    speech.add("dev", speech.wav("copy.wav", samples, rate), "".join(reversed(held_out.text)))


def a_contradiction(speech: Speech) -> None:
    first = speech.splits["train"][5]
    other = "".join(LETTERS[(LETTERS.index(c) + 1) % 8] if c != " " else c for c in first.text)
    stereo = np.repeat(soundfile.read(first.audio)[0][:, None], 2, axis=1)
    speech.add("train", speech.wav("copy.wav", stereo), other)


def a_duplicate(speech: Speech) -> None:
    first = speech.splits["train"][5]
    samples, _ = soundfile.read(first.audio)
    padded = np.concatenate([np.zeros(4000), samples])
    speech.add("train", speech.wav("copy.wav", padded), first.text, offset=0.25,
               duration=first.duration)  # fmt: skip


def clipped(speech: Speech) -> None:
    speech.add("train", speech.wav("a.wav", np.clip(5 * sung("abc de"), -1, 1)), "abc de")


def clipped_and_then_lowered(speech: Speech) -> None:
    samples = 0.4 * np.clip(5 * sung("abc de"), -1, 1)
    soundfile.write(speech.folder / "a.wav", samples, SAMPLE_RATE)
    speech.add("train", str(speech.folder / "a.wav"), "abc de")


def off_centre(speech: Speech) -> None:
    speech.add("train", speech.wav("a.wav", sung("abc de") - 0.02), "abc de")


def another_rate(speech: Speech) -> None:
    speech.add("train", speech.wav("a.wav", sung("abc de")[::2], SAMPLE_RATE // 2), "abc de")


def a_known_speaker(speech: Speech) -> None:
    speech.add("test", speech.wav("a.wav", sung("abc de")), "abc de")
    speech.splits["test"][-1] = replace(speech.splits["test"][-1], speaker="train voice")
    speech.add("train", speech.wav("b.wav", sung("ed cba")), "ed cba", id="theirs")


def a_known_sentence(speech: Speech) -> None:
    text = speech.splits["test"][3].text
    speech.add("train", speech.wav("a.wav", sung(text)), text)


# What is planted, and what is found in which manifest; the ids are those of the planted.
PLANTED: dict[Callable[[Speech], None], list[tuple[str, str]]] = {
    missing: [("unreadable", "train")],
    truncated: [("unreadable", "train")],
    damaged: [("unreadable", "train")],
    a_web_page: [("unreadable", "dev")],
    not_finite: [("unreadable", "train")],
    claims_too_much: [("duration", "test")],
    begins_beyond_the_end: [("duration", "train")],
    claims_too_little: [("cut", "train")],
    digital_silence: [("silence", "train"), ("silence", "test")],
    only_noise: [("silence", "train")],
    no_text: [("empty", "train"), ("empty", "dev"), ("empty", "test")],
    an_unknown_letter: [("outside_alphabet", "dev")],
    a_rare_letter: [("rare_character", "train")],
    too_little_text: [("speaking_rate", "train")],
    too_much_text: [("speaking_rate", "dev")],
    too_few_frames: [("infeasible", "train"), ("speaking_rate", "train")],
    a_leak: [("leak", "train")],
    a_leak_between_held_out_sets: [("leak", "dev")],
    a_contradiction: [("contradiction", "train"), ("contradiction", "train")],
    a_duplicate: [("duplicate", "train")],
    clipped: [("clipping", "train")],
    clipped_and_then_lowered: [("clipping", "train")],
    off_centre: [("dc_offset", "train")],
    another_rate: [("sample_rate", "train")],
    a_known_speaker: [("speaker_overlap", "train")],
    a_known_sentence: [("same_text", "train")],
}
WARNINGS = {"rare_character", "duplicate", "clipping", "dc_offset", "sample_rate",
            "speaker_overlap", "same_text"}  # fmt: skip


def test_every_kind_is_planted() -> None:
    assert {kind for found in PLANTED.values() for kind, _ in found} == set(KINDS)


def test_a_good_corpus_is_called_good(
    speech: Speech, check: Callable[..., Found], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(speech.write()) == set()
    output, errors = capsys.readouterr()
    assert "nothing is wrong" in output and "trained on" in output
    assert not errors, "no progress where nobody looks"


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_just_what_is_planted_is_found(
    plant: Callable[[Speech], None], speech: Speech, check: Callable[..., Found],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    before = {split: {u.id for u in own} for split, own in speech.splits.items()}
    plant(speech)
    planted = {(s, u.id) for s, own in speech.splits.items() for u in own} - {
        (split, id) for split, ids in before.items() for id in ids
    }
    found = check(speech.write(), f"write={speech.folder / 'clean'}")
    assert sorted((kind, split) for kind, split, _ in found) == sorted(PLANTED[plant])
    partner = {("train", speech.splits["train"][5].id)} if plant is a_contradiction else set()
    assert {(split, id) for _, split, id in found} <= planted | partner
    output = capsys.readouterr().out
    for kind, _, name in found:
        assert KINDS[kind].title in output and KINDS[kind].mend in output and name in output
    errors = {
        (split, name)
        for kind, split, name in found
        if kind not in WARNINGS and (split == "train" or not KINDS[kind].train_only)
    }
    for split, own in speech.splits.items():
        kept = [u.id for u in read_manifest(speech.folder / "clean" / f"{split}.jsonl")]
        assert kept == [u.id for u in own if (split, u.id) not in errors]
    lines = (speech.folder / "clean" / "left_out.jsonl").read_text().splitlines()
    left_out = list(map(json.loads, lines))
    assert {(Path(each["manifest"]).stem, each["id"]) for each in left_out} == errors
    assert {kind for each in left_out for kind in each["reasons"]} == {
        kind for kind, split, name in found if (split, name) in errors and kind not in WARNINGS
    }


@pytest.mark.parametrize("seed", range(6))
def test_what_is_cleaned_is_clean(
    seed: int, speech: Speech, check: Callable[..., Found], tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    for number, plant in enumerate(PLANTED):
        if rng.random() < 0.5:
            part = Speech(tmp_path / str(number), speech.splits)
            part.folder.mkdir()
            plant(part)
    kinds = [kind for kind in KINDS if rng.random() < 0.8]
    options = [f"leave_out=[{','.join(kinds)}]"]
    check(speech.write(), *options, f"write={tmp_path / 'clean'}")
    cleaned = [str(tmp_path / "clean" / f"{split}.jsonl") for split in speech.splits]
    summary = tmp_path / "out" / "found.json"
    first = {k: v["errors"] for k, v in json.loads(summary.read_text())["findings"].items()}
    check(cleaned, *options, "strict=true")  # exits where there is an error
    again = {k: v["errors"] for k, v in json.loads(summary.read_text())["findings"].items()}
    assert sum(first.values()) > 0 and sum(again.values()) == 0
    sizes = [len(read_manifest(path)) for path in cleaned]
    check(cleaned, *options, f"write={tmp_path / 'cleaner'}")
    assert [len(read_manifest(tmp_path / "cleaner" / Path(p).name)) for p in cleaned] == sizes


def test_what_is_trained_on(speech: Speech, check: Callable[..., Found], tmp_path: Path) -> None:
    """By name, else the first, unless it is said."""
    a_leak(speech)
    train, dev, test = speech.write()
    assert ("leak", "train", "odd80") in check([test, dev, train])
    for split, path in (("one", test), ("two", train)):
        write_manifest(tmp_path / f"{split}.jsonl", read_manifest(path))
    paths = [str(tmp_path / f"{name}.jsonl") for name in ("one", "two")]
    assert {split for kind, split, _ in check(paths) if kind == "leak"} == {"one"}
    found = check(paths, f"train=[{paths[1]}]")
    assert {split for kind, split, _ in found if kind == "leak"} == {"two"}


def test_what_is_left_out_does_not_tell_what_is_usual(
    speech: Speech, check: Callable[..., Found]
) -> None:
    good = {u.id for own in speech.splits.values() for u in own}
    audio = speech.wav("slow.wav", sung("abcd efgh"))
    for number in range(2 * len(good)):
        speech.add("train", audio, "ab", duration=2.0, id=f"wrong{number}")
    found = check(speech.write())
    assert {kind for kind, _, _ in found} == {"duration", "duplicate", "speaking_rate"}
    assert not {name for _, _, name in found} & good


def test_a_letter_is_rare_by_what_is_trained_on(
    speech: Speech, check: Callable[..., Found]
) -> None:
    a_rare_letter(speech)
    speech.add("dev", speech.wav("dev.wav", sung("abcd", 8)), "zzzz")
    assert check(speech.write()) == {("rare_character", "train", "odd80")}


def test_the_number_of_workers_changes_nothing(
    speech: Speech,
    check: Callable[..., Found],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("asr.engine.local._MOMENT", 0)  # all of it in processes
    for plant in (truncated, only_noise, a_leak, too_little_text, clipped):
        plant(speech)
    outcomes = set()
    for workers in ("1", "3"):
        check(speech.write(), f"engine.workers={workers}")
        outcomes.add((tmp_path / "out" / "found.json").read_bytes())
    assert len(outcomes) == 1


def test_the_first_slice_of_a_file_is_no_cut(
    speech: Speech, check: Callable[..., Found], tmp_path: Path
) -> None:
    """Not even once the file's other slice was left out."""
    parts = [sung("ab cd"), np.zeros(16000)]
    seconds = [len(part) / SAMPLE_RATE for part in parts]
    audio = speech.wav("both.wav", np.concatenate(parts))
    speech.add("train", audio, "ab cd", duration=seconds[0], id="first")
    speech.add("train", audio, "ef gh", duration=seconds[1], offset=seconds[0], id="second")
    found = check(speech.write(), f"write={tmp_path / 'clean'}")
    assert found == {("silence", "train", "second")}
    cleaned = tmp_path / "clean" / "train.jsonl"
    assert read_manifest(cleaned)[-1].id == "first"
    assert check([str(cleaned)]) == set()


def test_what_is_an_error_can_be_chosen(
    speech: Speech, check: Callable[..., Found], tmp_path: Path
) -> None:
    a_duplicate(speech)
    only_noise(speech)
    manifests = speech.write()
    check(manifests, "leave_out=[duplicate]", f"write={tmp_path / 'clean'}")
    kept = {u.id for u in read_manifest(tmp_path / "clean" / "train.jsonl")}
    assert {u.id for u in speech.splits["train"]} - kept == {"odd80"}
    check(manifests, "leave_out=[]", "strict=true")
    with pytest.raises(SystemExit) as stopped:
        check(manifests, "strict=true")
    assert stopped.value.code == 1


def test_limits_are_options(speech: Speech, check: Callable[..., Found]) -> None:
    off_centre(speech)
    assert check(speech.write(), "limits.dc_offset=0.03") == set()


def test_against_a_trained_model(
    speech: Speech, tones: Path, check: Callable[..., Found], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Its alphabet and its strides are the measure, also of what is to be trained on."""
    options = [*tones_overrides(tones, tmp_path), "experiment=tones", "trainer.epochs=1"]
    done = command("train", *options, "run=x")
    assert done.returncode == 0, done.stderr
    a_rare_letter(speech)
    manifests = speech.write()
    capsys.readouterr()
    found = check(manifests, f"checkpoint={tmp_path / 'x'}", "limits.rare_count=0")
    assert found == {("outside_alphabet", "train", "odd80")}
    assert str(tmp_path / "x" / "best.pt") in capsys.readouterr().out
    assert check(manifests[1:], f"runs={tmp_path}", "run=x") == set(), "no training set is needed"


def test_from_the_command_line(speech: Speech) -> None:
    only_noise(speech)
    manifests = speech.write()
    done = command("check", *manifests, "model=deepspeech2_tiny", "examples=1")
    assert done.returncode == 0 and not done.stderr
    assert "error  silence" in done.stdout and "odd80" in done.stdout
    assert sorted(p.suffix for p in speech.folder.iterdir() if p.is_file()) == [
        *[".jsonl"] * 3, ".wav"
    ], "nothing is written unasked"  # fmt: skip
    done = command("check", f"manifest=[{manifests[0]}]", "model=deepspeech2_tiny", "strict=true")
    assert done.returncode == 1


MISTAKES = {
    "no such manifest": (["no.jsonl"], r"no\.jsonl: no such manifest"),
    "twice": (["{train}", "{train}"], "is named twice"),
    "no alphabet": (["{dev}", "{test}"], r"train=\[FILE\].*run=NAME"),
    "a stranger": (["{dev}", "train=[no.jsonl]"], r"train=.*no\.jsonl is none of"),
    "no such kind": (["{train}", "leave_out=[noise]"], "no finding called 'noise'.*silence"),
    "workers": (["{train}", "engine.workers=0"], r"engine\.workers=0"),
    "limits": (["{train}", "limits.slowest=50"], "limits.slowest=50"),
    "overwriting": (["{train}", "write={folder}"], "train.jsonl would be overwritten"),
    "overwriting by JSON": (["{train}", "output={train}"], "would overwrite a manifest"),
    "a folder": (["{train}", "output={folder}"], "is a folder"),
    "no run": (["{train}", "run=nobody"], "run=nobody"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake: str, speech: Speech, compose_config: Callable[..., DictConfig]) -> None:
    typed, message = MISTAKES[mistake]
    train, dev, test = speech.write()
    filled = [t.format(train=train, dev=dev, test=test, folder=speech.folder) for t in typed]
    inputs = [t for t in filled if "=" not in t]
    options = [t for t in filled if "=" in t]
    with pytest.raises(ValueError, match=message):
        main(compose_config("check", f"inputs=[{','.join(inputs)}]", *options))


def test_nothing_left(speech: Speech, check: Callable[..., Found], tmp_path: Path) -> None:
    speech.splits["dev"] = []
    missing(Speech(tmp_path, {"train": speech.splits["dev"]}))
    with pytest.raises(ValueError, match=r"dev\.jsonl: every utterance has an error"):
        check(speech.write(), f"write={tmp_path / 'clean'}")
    assert not list((tmp_path / "clean").iterdir())


def waiting_for(path: Path, seconds: float = 60) -> Iterator[None]:
    until = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < until:
        yield time.sleep(0.05)


def test_ctrl_c_ends_it(speech: Speech, tmp_path: Path) -> None:
    many = [replace(u, id=f"{u.id}-{n}") for n in range(1000) for u in speech.splits["train"]]
    write_manifest(tmp_path / "many.jsonl", many)
    clean = tmp_path / "clean"
    process = subprocess.Popen(
        [sys.executable, "-m", "asr.check", str(tmp_path / "many.jsonl"), f"write={clean}",
         "model=deepspeech2_tiny"],
        cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    list(waiting_for(clean))
    time.sleep(2)  # among the files by now
    os.killpg(process.pid, signal.SIGINT)
    started = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - started < 10
    assert process.returncode == 130 and "Traceback" not in errors
    assert not list(clean.iterdir())


def test_common_voice(shared_data: Path, tmp_path: Path, check: Callable[..., Found]) -> None:
    """Of its first 400 clips all can be read and hardly any is complained of."""
    path = shared_data / "common_voice" / "cv-valid-dev.csv"
    few = tmp_path / "few.csv"
    few.write_text("".join(path.read_text().splitlines(keepends=True)[:401]))
    done = command(
        "prepare", "corpus=table", f"corpus.path={few}", f"corpus.audio_root={path.parent}",
        f"folder={tmp_path}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = check([str(tmp_path / "table" / f"{s}.jsonl") for s in ("train", "dev", "test")])
    assert {kind for kind, _, _ in found} <= {"clipping", "speaking_rate", "same_text"}
    assert 0 < sum(kind == "clipping" for kind, _, _ in found) < 12
    assert sum(kind == "speaking_rate" for kind, _, _ in found) < 4

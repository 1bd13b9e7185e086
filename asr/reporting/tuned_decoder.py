"""A tuned decoder on disk and on the terminal: its YAML, the trials, what was gained."""

import json
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from asr.reporting.tuning_picture import draw_tuning
from asr.scoring.tuning import Space, Trial, Tuning


def check_output(path: Path) -> Path:
    """Where the decoder's YAML goes, if Hydra can find it there.

    Raises:
        ValueError: it is no YAML in a folder called `decoder`.
    """
    if path.suffix != ".yaml" or path.absolute().parent.name != "decoder":
        raise ValueError(
            f"output={path}: name a .yaml file in a folder called decoder, such as "
            "output=mine/decoder/tuned.yaml; options of that group are looked for there"
        )
    return path


def write_tuned(
    tuning: Tuning, decoder: Mapping[str, Any], path: Path, *, dev: str, checkpoint: Path
) -> None:
    """Write the decoder's YAML, and beside it its trials as JSON lines and a picture of them.

    Files that the decoder reads are named by absolute paths: `evaluate` may be started in any
    folder, and a relative path would then name another file or none.
    """
    found = {
        key: str(Path(value).absolute()) if _is_file(value) else value
        for key, value in decoder.items()
    } | dict(tuning.best.options)
    about = [
        f"{shlex.join(['python', '-m', 'asr.tune', *sys.argv[1:]])}",
        f"{datetime.now(UTC):%Y-%m-%d}, {checkpoint.absolute()}, {len(tuning.trials)} trials",
        f"on {dev}, {len(tuning.speakers)} utterances:",
        *tuning_lines(tuning),
    ]
    lines = "".join(f"# {line}\n" for line in about)
    text = lines + yaml.safe_dump(found, sort_keys=False, allow_unicode=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    with path.with_suffix(".jsonl").open("w", encoding="utf-8") as file:
        for number, trial in enumerate(tuning.trials):
            file.write(json.dumps({"trial": number} | _numbers(trial)) + "\n")
    draw_tuning(tuning, f"{dev}, {len(tuning.trials)} trials", path.with_suffix(".png"))


def _numbers(trial: Trial) -> dict[str, Any]:
    return {
        "wer": trial.wer.rate,
        "cer": trial.cer.rate,
        "errors": trial.wer.errors,
        "options": dict(trial.options),
    }


def _is_file(value: object) -> bool:
    # `lm` is a word of the option `lexicon`, whatever lies in the working folder.
    return isinstance(value, str) and value != "lm" and Path(value).is_file()


def tuning_lines(tuning: Tuning) -> list[str]:
    """Word error rates of greedy, untuned and tuned decoding, and the gains with intervals."""
    best = tuning.best
    lines = [
        f"greedy   {tuning.greedy.wer.kaldi()}",
        f"untuned  {tuning.untuned.wer.kaldi()}   {_settings(tuning.untuned)}",
        f"tuned    {best.wer.kaldi()}   {_settings(best)}",
    ]
    for name, other in (("greedy", tuning.greedy), ("untuned", tuning.untuned)):
        gain, low, high = tuning.gain(other)
        lines.append(
            f"gain over {name} {100 * gain:.2f}, 95 % interval {100 * low:.2f} to {100 * high:.2f}"
        )
    if best.wer.rate >= tuning.greedy.wer.rate:
        lines.append("nothing that was tried beats greedy: try more, or another language model")
    speakers = len(set(tuning.speakers) - {None})
    lines.append(
        "the same speech chose the weights, so that gains and intervals flatter a little"
        + (f" (drawn over {speakers} speakers)" if speakers > 1 else "")
    )
    return lines


def edge_lines(tuning: Tuning, space: Space) -> list[str]:
    """Advice where the best of an option lies at an end of its range: it may go on beyond."""
    lines = []
    for name, value in tuning.best.options.items():
        if value is None:  # the first trial's, in words of the decoder
            continue
        low, high = space[name].low, space[name].high
        margin = 0.02 * (high - low)
        # Below 0 most options mean nothing: that end of a range is no edge.
        if (low != 0 and value < low + margin) or value > high - margin:
            lines.append(
                f"{name}={value:g} lies at the edge of [{low:g}, {high:g}]; the best may be "
                f"beyond it: search.{name}=[LOW,HIGH]"
            )
    return lines


def _settings(trial: Trial) -> str:
    shown = {k: "null" if v is None else v for k, v in trial.options.items()}  # as in a YAML
    return " ".join(f"{name}={value}" for name, value in shown.items())

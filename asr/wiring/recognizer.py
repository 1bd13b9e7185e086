"""From a configuration or a checkpoint to a recogniser, and where it is to run."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from asr.core.checkpoint import load_checkpoint
from asr.core.distributed import local_rank
from asr.decoder.base import Decoder
from asr.recognizer.recognizer import Recognizer
from asr.tokenizer.base import Tokenizer
from asr.wiring.build import build, check_targets, shipped_targets
from asr.wiring.fingerprint import feature_fingerprint


def check_checkpoint_targets(
    checkpoint: dict[str, Any], path: Path | str, trusted: Sequence[str] = ()
) -> None:
    """Refuse a checkpoint that would build anything but features, a model and a tokenizer.

    Raises:
        ValueError: one of its targets is another's; nothing was imported.
    """
    own = ("asr.features.", "asr.model.", "asr.tokenizer.")
    shipped = {t for t in shipped_targets() if t.startswith(own) and not t.endswith(".train")}
    allowed = shipped | set(trusted)
    parts = [checkpoint["config"].get(part) for part in ("features", "spec_augment", "model")]
    for part in (*parts, checkpoint["tokenizer"]):
        try:
            check_targets(part, allowed)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def build_recognizer(config: Any, tokenizer: Tokenizer, trusted: Sequence[str] = ()) -> Recognizer:
    """An untrained recogniser from `features`, `spec_augment` and `model` of a configuration."""
    features = build(config["features"], trusted=trusted)
    spec_augment = build(config["spec_augment"], trusted=trusted)
    model = build(config["model"], features.num_features, len(tokenizer), trusted=trusted)
    return Recognizer(features, spec_augment, model, tokenizer)


def build_decoders(config: Any, tokenizer: Tokenizer) -> dict[str, Decoder]:
    """The decoder of a command's configuration by its name, beside the greedy one."""
    trusted = list(config.trusted_targets)
    greedy = {"_target_": "asr.decoder.greedy.Greedy"}
    own: Decoder = build(config.decoder, tokenizer, trusted=trusted)
    name = type(own).__name__.lower()
    return {"greedy": build(greedy, tokenizer), name: own}


def load_recognizer(
    checkpoint: dict[str, Any], path: Path | str, trusted: Sequence[str] = ()
) -> tuple[Recognizer, str | None]:
    """The trained recogniser of a checkpoint, in evaluation mode.

    Returns:
        The recogniser, and a warning if its features of a reference signal are no longer those
        of the machine it was trained on.

    Raises:
        ValueError: the checkpoint's weights do not fit its own configuration, or this describes
            nothing that can be built.
    """
    check_checkpoint_targets(checkpoint, path, trusted)
    try:
        tokenizer: Tokenizer = build(checkpoint["tokenizer"], trusted=trusted)
        recognizer = build_recognizer(checkpoint["config"], tokenizer, trusted)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as e:
        raise ValueError(
            f"{path}: it describes no recogniser that can be built: {str(e) or type(e).__name__}"
        ) from e
    try:
        recognizer.load_state_dict(checkpoint["weights"])
        gap = fingerprint_gap(
            feature_fingerprint(recognizer.features), checkpoint["feature_fingerprint"]
        )
    except (AttributeError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"{path}: its weights do not fit the model it describes; was the model's code changed "
            f"since it was trained? ({' '.join(str(error).splitlines()[:2])[-300:]})"
        ) from None
    warning = f"{path}: {gap} Trained with {checkpoint['versions']}" if gap else None
    return recognizer.eval(), warning


def fingerprint_gap(now: torch.Tensor, then: torch.Tensor) -> str | None:
    """What to tell the user if features of the reference signal are not what they were."""
    gap = float((now - then).abs().max())
    if gap <= 1e-2:
        return None
    return (
        f"features of the reference signal differ by {gap:.3g} from those at training time; audio "
        "loading, resampling or feature extraction changed, and WER may suffer."
    )


def find_checkpoint(checkpoint: str | None, run: str | None, runs: str) -> Path:
    """A checkpoint's file: named, the best of a run, or the best of the latest run.

    Raises:
        ValueError: there is none; says where it was looked for.
    """
    if checkpoint is not None:
        path = Path(checkpoint)
        return path / "best.pt" if path.is_dir() else path
    if run is not None:
        folder = Path(run) if Path(run).is_dir() else Path(runs) / run
        path = folder / "best.pt"
        if not path.is_file():
            known = sorted(p.parent.name for p in Path(runs).glob("*/best.pt"))
            raise ValueError(
                f"run={run}: there is no {path}; runs that have one: {', '.join(known) or 'none'}"
            )
        return path
    # The run that was started last: its configuration is written at every start.
    found = sorted(
        Path(runs).glob("*/best.pt"), key=lambda p: (p.parent / "config.yaml").stat().st_mtime
    )
    if not found:
        raise ValueError(
            f"no checkpoint under {runs}/; train one with `python -m asr.train`, or name one with "
            "checkpoint=PATH"
        )
    return found[-1]


def open_recognizer(
    config: Any, device: torch.device
) -> tuple[Recognizer, dict[str, Any], Path, str | None]:
    """The recogniser that a command's `checkpoint`, `run` and `runs` name, on a device."""
    path = find_checkpoint(config.checkpoint, config.run, config.runs)
    checkpoint = load_checkpoint(path)
    recognizer, warning = load_recognizer(checkpoint, path, list(config.trusted_targets))
    return recognizer.to(device), checkpoint, path, warning


def choose_device(name: str, threads: int | None = None) -> torch.device:
    """`auto` is the best device there is; where several processes share a machine, a GPU each.

    Raises:
        ValueError: the device is not here.
    """
    if threads is not None:
        if threads < 1:
            raise ValueError(f"threads={threads} must be at least 1, or null")
        torch.set_num_threads(threads)
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    kind = next(k for k, here in present.items() if here) if name == "auto" else name
    if kind.split(":")[0] not in present:
        raise ValueError(f"device={name} is unknown: choose auto, cpu, cuda or mps")
    if not present[kind.split(":")[0]]:
        raise ValueError(f"device={name} is not available here; device=auto takes what there is")
    if kind == "cuda" and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        kind = f"cuda:{local_rank()}"
    device = torch.device(kind)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device={name}: there are only {torch.cuda.device_count()} GPUs here")
    if device.type == "cuda":
        device = torch.device("cuda", device.index or 0)
        torch.cuda.set_device(device)  # for what asks for the present one: streams, events, nccl
    return device

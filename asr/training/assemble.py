"""From a configuration to a trainer that is ready to go, or to go on."""

import hashlib
import platform
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from asr.augment.base import Augment
from asr.core.checkpoint import load_checkpoint
from asr.core.distributed import exchange, is_main, main_first, world_size
from asr.core.progress import progress_bar
from asr.corpus.manifest import Manifest, read_manifest
from asr.data.dataset import SpeechDataset
from asr.data.loader import TrainingData
from asr.objective.base import Objective
from asr.recognizer.recognizer import Recognizer
from asr.scoring.score import score
from asr.tokenizer.base import Tokenizer
from asr.training.accumulate import AUTO, chosen, settle
from asr.training.checkpoints import Checkpoints
from asr.training.fit import Fit, check_transcripts
from asr.training.health import Health
from asr.training.mishaps import Mishaps
from asr.training.trainer import Trainer
from asr.wiring.build import build, build_all, plain_config
from asr.wiring.fingerprint import feature_fingerprint
from asr.wiring.recognizer import (
    build_recognizer,
    check_checkpoint_targets,
    find_checkpoint,
    fingerprint_gap,
    load_recognizer,
)
from asr.wiring.run import check_same, write_config

Say = Callable[[str], None]

_CHECKPOINTS = {"keep_last", "keep_best", "keep_every"}  # options of `trainer` that are others'
_MISHAPS = {"on_non_finite", "max_skipped"}
_OTHERS = {"stuck_after", "num_examples", "num_pictures"}
_LONGEST = 20.0  # seconds of an utterance that is legible in a picture


def assemble(config: Any, name: str, device: torch.device, say: Say) -> Trainer:
    """Read manifests, build every part, restore the run's last checkpoint if there is one.

    config: the composed training configuration. say: takes a line for the user.

    Raises:
        ValueError: anything a user can get wrong.
    """
    plain, trusted = plain_config(config), list(config.trusted_targets)
    folder = Path(config.runs) / name
    checkpoints = Checkpoints(folder, **_chosen(config.trainer, _CHECKPOINTS))
    last = checkpoints.load(say)
    begun = None if last is None else last["config"]["data"]["accumulate"]
    plain["data"]["accumulate"] = chosen(plain["data"]["accumulate"], begun)
    if last is not None:
        check_same(plain, last["config"], name)
        check_checkpoint_targets(last, folder, trusted)
    with main_first():  # which indexes a large manifest for all
        train, weights = _training_manifest(config.data, say)
        dev = join_manifests(config.data.dev, config.data.root_only)
    digest = _data_digest(train)
    if last is not None and last["data"] != digest:
        raise ValueError(
            f"run={name} was begun on other training data than what {list(config.data.train)} hold "
            "now; take another run= to begin anew"
        )
    torch.manual_seed(config.seed)
    if last is not None:
        tokenizer: Tokenizer = build(last["tokenizer"], trusted=trusted)
        recognizer = build_recognizer(plain, tokenizer, trusted)
    else:
        recognizer = _fresh_recognizer(plain, train, trusted, say)
    with main_first():
        seen = folder / "transcripts.kept"
        fit = check_transcripts(train, recognizer, config.data.max_infeasible, say, seen)
    recognizer.to(device, torch.float64 if config.trainer.precision == "float64" else None)
    data = _training_data(
        plain, recognizer, train, weights, build_all(config.augment, trusted=trusted)
    )
    if plain["data"]["accumulate"] == AUTO:
        objective: Objective = build(config.objective, trusted=trusted)
        found = settle(data, recognizer, objective, config.trainer.precision)
        plain["data"]["accumulate"] = found
        say(f"memory    data.accumulate=auto: {found} micro-batches an update, for this whole run")
    header = {
        "config": plain,
        "tokenizer": recognizer.tokenizer.state(),
        "feature_fingerprint": feature_fingerprint(recognizer.features),
        "versions": _versions(),
        "data": digest,
    }
    _agree(0 if last is None else last["training"]["state"]["step"], header, folder)
    trainer = _trainer(config, recognizer, data, fit, dev, checkpoints, header, trusted)
    if last is not None:
        trainer.restore(last)
        _warn_of_changes(header, last, say)
    if is_main():
        with nullcontext() if last is None else suppress(OSError):  # full: the old one will do
            write_config(folder, plain)
    _announce(trainer, train, dev, last is not None, say)
    return trainer


def _trainer(
    config: Any,
    recognizer: Recognizer,
    train: TrainingData,
    fit: Fit,
    dev: Manifest,
    checkpoints: Checkpoints,
    header: dict[str, Any],
    trusted: list[str],
) -> Trainer:
    device = next(recognizer.parameters()).device
    rate, tokenizer, data = recognizer.features.sample_rate, recognizer.tokenizer, config.data
    validate = partial(
        score,
        decoders={"dev": build(config.decoder, tokenizer, trusted=trusted)},
        dataset=SpeechDataset(dev, tokenizer, rate, loss_optional=True),
        device=device,
        batch_seconds=data.batch_seconds,
        max_utterances=data.max_utterances,
        workers=data.workers,
        worker_timeout=data.worker_timeout,
        strict=False,
        keep=_pictured(dev, config.trainer.num_pictures),
    )
    mishaps = Mishaps(
        **_chosen(config.trainer, _MISHAPS),
        max_unreadable=data.max_unreadable,
        size=len(train.dataset),
    )
    return Trainer(
        recognizer,
        build(config.objective, trusted=trusted),
        build(config.optimizer, _parameter_groups(recognizer), trusted=trusted),
        build(config.schedule, trusted=trusted),
        train,
        lambda shipped, progress: validate(shipped, progress=progress)["dev"],
        Health(fit, len(tokenizer), config.trainer.stuck_after),
        mishaps,
        checkpoints,
        header,
        seed=config.seed,
        **_chosen(config.trainer, set(config.trainer) - _CHECKPOINTS - _MISHAPS - _OTHERS),
    )


def _training_data(
    plain: dict[str, Any],
    recognizer: Recognizer,
    train: Manifest,
    weights: NDArray[np.float64] | None,
    augments: dict[str, Augment],
) -> TrainingData:
    data, features = plain["data"], recognizer.features
    return TrainingData(
        SpeechDataset(
            train,
            recognizer.tokenizer,
            features.sample_rate,
            augments=augments,
            seed=plain["seed"],
            resample=data["resample"],
        ),
        weights,
        batch_seconds=data["batch_seconds"],
        max_utterances=data["max_utterances"],
        sortagrad_epochs=data["sortagrad_epochs"],
        accumulate=1 if data["accumulate"] == AUTO else data["accumulate"],
        workers=data["workers"],
        worker_timeout=data["worker_timeout"],
        pin_memory=next(recognizer.parameters()).is_cuda,
    )


def _pictured(dev: Manifest, count: int) -> list[int]:
    """The places of utterances that are drawn: from all over, none too long if that can be.

    Raises:
        ValueError: the count is negative.
    """
    if count < 0:
        raise ValueError(f"trainer.num_pictures={count} must be at least 0")
    legible = np.flatnonzero(dev.durations <= _LONGEST)
    places = legible if len(legible) else np.arange(len(dev))
    chosen = np.linspace(0, len(places) - 1, min(count, len(places))).astype(int)
    return [int(place) for place in places[chosen]]


def _chosen(node: Any, names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in plain_config(node).items() if name in names}


def _agree(step: int, header: dict[str, Any], folder: Path) -> None:
    """Ranks on several machines must see the same run; only one of them writes it.

    Raises:
        ValueError: they do not.
    """
    seen = exchange((step, header["data"], header["config"]))
    if any(other != seen[0] for other in seen):
        steps = ", ".join(f"rank {i}: update {s[0]}" for i, s in enumerate(seen))
        raise ValueError(
            f"the processes of this job see different runs in {folder} ({steps}), or other data or "
            "options; runs/ and data/ must lie where all machines see the same files"
        )


def _fresh_recognizer(
    plain: dict[str, Any], train: Manifest, trusted: list[str], say: Say
) -> Recognizer:
    def learnt() -> Tokenizer:
        texts = _texts(train, "collecting the alphabet")
        return build(plain["tokenizer"], texts, trusted=trusted)  # type: ignore[no-any-return]

    if plain["init_from"] is None:
        return build_recognizer(plain, learnt(), trusted)
    path = find_checkpoint(plain["init_from"], None, plain["runs"])
    checkpoint = load_checkpoint(path)
    for part in ("features", "model"):
        theirs, ours = ({**c[part], "dropout": None} for c in (checkpoint["config"], plain))
        if theirs != ours:  # all but dropout decides what weights mean
            raise ValueError(
                f"init_from={path}: its {part} is {checkpoint['config'][part]}, but this run's is "
                f"{plain[part]}; take the same {part} to fine-tune it"
            )
    teacher, warning = load_recognizer(checkpoint, path, trusted)
    if warning:
        say(f"warning: {warning}")
    same = checkpoint["config"]["tokenizer"] == plain["tokenizer"]
    texts = _texts(train, "comparing alphabets")
    serves = same and not any(map(teacher.tokenizer.unknown, texts))
    tokenizer = teacher.tokenizer if serves else learnt()
    recognizer = build_recognizer(plain, tokenizer, trusted)
    weights = teacher.state_dict()
    if serves:
        say(f"init_from={path}: all weights, and its alphabet of {len(tokenizer) - 1}")
    else:
        fresh = recognizer.state_dict()
        weights |= {k: v for k, v in fresh.items() if k.startswith("model.head.")}
        say(
            f"init_from={path}: all weights but the head, which starts anew: this alphabet has "
            f"{len(tokenizer) - 1} symbols and is not within the {len(teacher.tokenizer) - 1} there"
            if same
            else f"init_from={path}: all weights but the head, which starts anew, because "
            f"tokenizer={plain['tokenizer']} and there it is {checkpoint['config']['tokenizer']}"
        )
    recognizer.load_state_dict(weights)
    return recognizer


def _texts(manifest: Manifest, purpose: str) -> Iterator[str]:
    with progress_bar(purpose, len(manifest)) as advance:
        for number, utterance in enumerate(manifest, start=1):
            yield utterance.text
            if number % 1000 == 0:
                advance(1000)


def join_manifests(paths: Any, root: str | None = None) -> Manifest:
    """Several manifests one after the other; audio outside of `root` is refused."""
    manifests = [read_manifest(path, root) for path in paths]
    if not manifests:
        raise ValueError("data.train, data.dev or manifest is an empty list; name a manifest")
    if len(manifests) == 1:
        return manifests[0]
    return Manifest.join(manifests)


def _training_manifest(data: Any, say: Say) -> tuple[Manifest, NDArray[np.float64] | None]:
    if data.weights is None:
        train = join_manifests(data.train, data.root_only)
        return _kept(train, data.min_seconds, data.max_seconds, say), None
    if len(data.weights) != len(data.train) or min(data.weights) < 0:
        raise ValueError(
            f"data.weights={list(data.weights)}: one number >= 0 for each of the "
            f"{len(data.train)} manifests of data.train"
        )
    kept = [
        _kept(read_manifest(path, data.root_only), data.min_seconds, data.max_seconds, say)
        for path in data.train
    ]
    weights = np.repeat(np.array(data.weights, dtype=np.float64), [len(m) for m in kept])
    return Manifest.join(kept), weights


def _kept(manifest: Manifest, shortest: float, longest: float, say: Say) -> Manifest:
    short, long = manifest.durations < shortest, manifest.durations > longest
    kept = np.flatnonzero(~(short | long))
    if len(kept) == len(manifest):
        return manifest
    say(
        f"{manifest.name}: {len(manifest) - len(kept)} of {len(manifest)} utterances left out: "
        f"{short.sum()} under data.min_seconds={shortest}, "
        f"{long.sum()} over data.max_seconds={longest}"
    )
    if not len(kept):
        raise ValueError(
            f"{manifest.name}: no utterance lasts between data.min_seconds={shortest} and "
            f"data.max_seconds={longest}"
        )
    return manifest.select(kept)


def _parameter_groups(recognizer: nn.Module) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels only: biases and norms have no reason to shrink."""
    decayed = [(n, p) for n, p in recognizer.named_parameters() if p.dim() > 1]
    others = [(n, p) for n, p in recognizer.named_parameters() if p.dim() <= 1]
    return [{"params": decayed}, {"params": others, "weight_decay": 0.0}]


def _data_digest(train: Manifest) -> str:
    """Of what is trained on, in its order: durations, ids and texts."""
    digest = hashlib.sha256(train.durations.data)
    digest.update(train.digests.data)
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    """Whatever may change the last bit of a result."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "threads": str(torch.get_num_threads()),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "processes": str(world_size()),
    }


def _warn_of_changes(now: dict[str, Any], then: dict[str, Any], say: Say) -> None:
    """A resume is bit-exact on the same software and threads; otherwise it says so."""
    changed = [f"{k} {then['versions'].get(k)} -> {v}" for k, v in now["versions"].items()
               if then["versions"].get(k) != v]  # fmt: skip
    if changed:
        say(f"warning: going on, but not bit for bit: {', '.join(changed)}")
    gap = fingerprint_gap(now["feature_fingerprint"], then["feature_fingerprint"])
    if gap:
        say(f"warning: {gap}")


def _announce(trainer: Trainer, train: Manifest, dev: Manifest, resumed: bool, say: Say) -> None:
    recognizer = trainer.recognizer
    say(f"data      {train.name}: {len(train)} utterances, {train.hours:.2f} h; "
        f"dev {dev.name}: {len(dev)}, {dev.hours:.2f} h")  # fmt: skip
    say(f"model     {type(recognizer.model).__name__}, {recognizer.num_parameters / 1e6:.2f} M "
        f"parameters, {len(recognizer.tokenizer)} tokens, on {trainer.device} "
        f"({torch.get_num_threads()} threads)")  # fmt: skip
    say(f"loss      untrained {trainer.health.untrained:.2f} nats per token, "
        f"without listening {trainer.health.deaf:.2f}")  # fmt: skip
    often = f"every {trainer.validate_every} updates" if trainer.validate_every else "each epoch"
    say(f"plan      {trainer.epochs} epochs, validated {often}, in {trainer.precision}")
    say(f"run       {trainer.folder}   (tensorboard --logdir {trainer.folder.parent})")
    if resumed:
        say(f"resuming  at epoch {trainer.state.epoch + 1}, update {trainer.state.step}")

"""From a configuration to what is checked: manifests and their roles, alphabet, model."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from asr.checking.facts import Split, Target
from asr.corpus.manifest import read_manifest
from asr.tokenizer.base import Tokenizer
from asr.wiring.build import build, plain_config
from asr.wiring.recognizer import open_recognizer

_TRAIN = re.compile(r"(?<![a-z])train(ing)?(?![a-z])")
_HELD_OUT = re.compile(r"(?<![a-z])(dev|devel|test|eval|valid|validation)(?![a-z])")


def assemble(config: Any, say: Callable[[str], None]) -> tuple[list[Split], Target]:
    """Read the manifests and build the alphabet and the model that they are meant for.

    Args:
        config: the composed configuration of `asr.check`.
        say: takes a warning for the user.

    Raises:
        ValueError: anything a user can get wrong.
    """
    trusted = list(config.trusted_targets)
    recognizer, data, path = None, config.corpus, None
    if config.run is not None or config.checkpoint is not None:
        recognizer, checkpoint, path, warning = open_recognizer(config, torch.device("cpu"))
        data = checkpoint["config"]["data"]
        if warning:
            say(f"warning: {warning}")
    splits = _splits(config, data)
    if recognizer is not None:
        tokenizer, features, model = recognizer.tokenizer, recognizer.features, recognizer.model
        origin = str(path)
    else:
        tokenizer, origin = _alphabet(config, splits, trusted)
        features = build(config.features, trusted=trusted)
        model = build(config.model, features.num_features, len(tokenizer), trusted=trusted)
    milliseconds = 1000 * features.hop * model.stride / features.sample_rate
    target = Target(
        tokenizer=tokenizer,
        sample_rate=features.sample_rate,
        output_lengths=lambda samples: model.output_lengths(features.output_lengths(samples)),
        alphabet=f"{len(tokenizer) - 1} symbols of {origin}",
        model=f"{type(model).__name__}, an output frame every {milliseconds:g} ms, "
        f"{features.sample_rate} Hz",
    )
    return splits, target


def _alphabet(config: Any, splits: Sequence[Split], trusted: list[str]) -> tuple[Tokenizer, str]:
    trained = [s for s in splits if s.trained]
    if not trained:
        raise ValueError(
            "none of the manifests is trained on, so there is no alphabet to check against: name "
            "one with train=[FILE], or a trained model with run=NAME or checkpoint=FILE"
        )
    texts = (u.text for s in trained for u in s.manifest)
    tokenizer: Tokenizer = build(config.tokenizer, texts, trusted=trusted)
    return tokenizer, " and ".join(str(s.path) for s in trained)


def _splits(config: Any, data: Any) -> list[Split]:
    """The manifests, each once, and whether it is trained on."""
    named = list(config.inputs or config.manifest or [])
    train = config.train
    if not named:
        named = [*data["train"], *data["dev"], *data["test"]]
        train = data["train"] if train is None else train
    paths = list(map(Path, named))
    places = [path.resolve() for path in paths]
    if twice := [str(path) for i, path in enumerate(paths) if places[i] in places[:i]]:
        raise ValueError(f"{twice[0]} is named twice, and would be a copy of itself; name it once")
    trained = _trained(paths) if train is None else {Path(t).resolve() for t in plain_config(train)}
    if strangers := trained - set(places):
        raise ValueError(f"train={strangers.pop()} is none of the manifests: {', '.join(named)}")
    return [
        Split(path, read_manifest(path), place in trained)
        for path, place in zip(paths, places, strict=True)
    ]


def _trained(paths: Sequence[Path]) -> set[Path]:
    """Those that are trained on by their names, or the first unless it is held out by its name."""
    named = {p.resolve() for p in paths if _TRAIN.search(p.stem.lower())}
    first = {p.resolve() for p in paths[:1] if not _HELD_OUT.search(p.stem.lower())}
    return named or first

"""A run: its name, its folder, and whether a configuration may go on in it."""

import filecmp
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from asr.corpus.manifest import read_manifest

# What may differ when a run goes on: budgets, machine and verbosity; never what is learnt.
_FREE = {
    "run",
    "runs",
    "device",
    "threads",
    "inputs",
    "trusted_targets",
    "corpus",
    "data.workers",
    "data.worker_timeout",
    "data.max_infeasible",
    "data.max_unreadable",
    "data.root_only",
    "trainer.epochs",
    "trainer.patience",
    "trainer.log_every",
    "trainer.checkpoint_minutes",
    "trainer.max_minutes",
    "trainer.num_pairs",
    "trainer.num_examples",
    "trainer.num_pictures",
    "trainer.keep_last",
    "trainer.keep_best",
    "trainer.keep_every",
    "trainer.on_non_finite",
    "trainer.max_skipped",
    "trainer.stuck_after",
}


def run_name(config: dict[str, Any], experiment: str | None) -> str:
    """The name of a run that has none: the experiment and a hash of what it trains."""
    identity = learnt(config)
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    own = config["data"]["train"] != config["corpus"]["train"]
    data = Path(config["data"]["train"][0]).stem if own else config["corpus"]["name"]
    return f"{experiment or data}-{digest[:8]}"


def learnt(config: dict[str, Any]) -> dict[str, Any]:
    """The options that decide what a run learns, by their full names."""
    every = _options(config)
    return {k: v for k, v in every.items() if not _is_free(k) or k == "trainer.epochs"}


def test_set(config: dict[str, Any]) -> list[str]:
    """The manifests that a run is scored on unless others are named.

    Raises:
        ValueError: it was trained on something that has no test set.
    """
    data, corpus = config["data"], config["corpus"]
    of_corpus = data["test"] == corpus["test"]
    if not data["test"] or (of_corpus and data["train"] != corpus["train"]):
        raise ValueError(
            f"trained on {', '.join(data['train'])}, for which data.test names no test set; name "
            "manifests to score: python -m asr.evaluate some.jsonl"
        )
    return list(data["test"])


def check_no_test_set(paths: Sequence[str], config: dict[str, Any], force: bool) -> list[str]:
    """Refuse to choose anything by the speech that the result is to be measured on.

    Args:
        paths: of manifests.
        config: that of the checkpoint, which names its test sets.
        force: warn only.

    Returns:
        A warning for each test set, if `force` is on.

    Raises:
        ValueError: one is a test set by its name, its place, its content or its utterances.
    """
    tests = [*config["data"]["test"], *config["corpus"]["test"]]
    found = [f"{path} {why}" for path in paths if (why := _why_test(Path(path), tests))]
    if found and not force:
        raise ValueError(
            f"{found[0]}. What is chosen on a test set makes its WER look better than it is; name "
            "a development set, or insist with force=true"
        )
    return [f"{reason}: its WER is no longer one on unseen speech" for reason in found]


def _why_test(path: Path, tests: Sequence[str]) -> str | None:
    if re.search(r"(?<![a-z])test(?![a-z])", path.stem.lower()):
        return "is a test set by its name"
    for test in filter(Path.is_file, map(Path, dict.fromkeys(tests))):
        if path.resolve() == test.resolve():
            return "is a test set of the run's configuration"
        if path.is_file() and filecmp.cmp(path, test, shallow=False):
            return f"holds the same as {test}, a test set of the run's configuration"
        if shared := _speech(path) & _speech(test):
            return f"shares {len(shared)} utterances with {test}, a test set of the run"
    return None


def _speech(path: Path) -> set[tuple[Path, float]]:
    return {(Path(u.audio).resolve(), u.offset) for u in read_manifest(path)}


def check_same(now: dict[str, Any], then: dict[str, Any], name: str) -> None:
    """Refuse to go on with another configuration.

    Raises:
        ValueError: what is learnt would change; lists each difference.
    """
    new, old = _options(now), _options(then)
    changed = [
        f"  {key}: {old.get(key, '(absent)')} -> {new.get(key, '(absent)')}"
        for key in sorted(new.keys() | old.keys())
        if new.get(key) != old.get(key) and not _is_free(key)
    ]
    if changed:
        raise ValueError(
            f"run={name} was begun with another configuration:\n"
            + "\n".join(changed)
            + "\nTake the old values to go on with it, or another run= to begin anew."
        )


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """The resolved configuration, for people to read."""
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    temporary = folder / "config.yaml.part"
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(folder / "config.yaml")


def _is_free(key: str) -> bool:
    return any(key == free or key.startswith(free + ".") for free in _FREE)


def _options(config: dict[str, Any]) -> dict[str, Any]:
    """All options by their full names. Augmentations are the only mapping whose order tells."""
    return _flat(config) | {"augment, in order": list(config.get("augment") or {})}


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(config, dict) or not config:
        return {prefix.rstrip("."): config}
    return {
        k: v for key, value in config.items() for k, v in _flat(value, f"{prefix}{key}.").items()
    }

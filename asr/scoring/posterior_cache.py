"""Log-probabilities of a data set, computed once and kept beside the checkpoint.

Whoever decodes the same speech again and again (a search for the best decoder) need not read and
recognise it each time. A file of the cache is named after the manifest and a hash of what the
log-probabilities depend on; the folder may be deleted at any time.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.core.shard import container
from asr.corpus.manifest import Manifest
from asr.data.dataset import Draw, SpeechDataset
from asr.data.loader import evaluation_plan, load_batches
from asr.recognizer.recognizer import Recognizer


def cached_log_probs(
    recognizer: Recognizer,
    dataset: SpeechDataset,
    checkpoint: Path,
    folder: Path,
    *,
    batch_seconds: float,
    max_utterances: int,
    workers: int,
    progress: Callable[[int], None] = lambda count: None,
) -> list[Tensor]:
    """The log-probabilities of each utterance, from the cache or computed and then cached.

    Args:
        recognizer: as `checkpoint` holds it, in evaluation mode.
        dataset: whose utterances to recognise; their texts do not matter.
        checkpoint: its file, whose content is part of what a cache is valid for.
        folder: of the cache.
        batch_seconds, max_utterances, workers: of the computation.
        progress: called with the number of utterances that are done.

    Returns:
        (T', V) float32 on the CPU for each utterance, in the manifest's order.

    Raises:
        ValueError: an utterance could not be read.
    """
    name = dataset.manifest.name.replace("/", "-")[:100]
    file = folder / f"{name}-{_identity(checkpoint, dataset.manifest)}.npz"
    found = _read(file, len(dataset))
    if found is None:
        plan = evaluation_plan(dataset, batch_seconds, max_utterances)
        found = _compute(recognizer, dataset, plan, workers, progress)
        _write(file, found)
    else:
        progress(len(dataset))
    values, lengths = found
    return list(torch.split(torch.from_numpy(values), lengths.tolist()))


def _identity(checkpoint: Path, manifest: Manifest) -> str:
    """A hash of the weights and of the audio: of files their place, size and time."""
    with checkpoint.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    for u in manifest:
        source = Path(container(u.audio))
        about = source.stat() if source.is_file() else None  # reading it will say what is wrong
        changes = about and (about.st_size, about.st_mtime_ns)
        part = (str(Path(u.audio).resolve()), changes, u.offset, u.duration, u.raw)
        digest.update(json.dumps(part).encode() + b"\n")
    return digest.hexdigest()[:16]


@torch.inference_mode()
def _compute(
    recognizer: Recognizer,
    dataset: SpeechDataset,
    plan: Sequence[list[Draw]],
    workers: int,
    progress: Callable[[int], None],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(frames of all utterances, V) end to end, and (utterances,) lengths."""
    device = next(recognizer.parameters()).device
    found: dict[int, NDArray[np.float32]] = {}
    for draws, batch in zip(plan, load_batches(dataset, plan, workers), strict=True):
        log_probs = recognizer(batch.waveforms.to(device)).to("cpu")  # (B, T', V)
        lengths = log_probs.lengths.tolist()
        for draw, values, length in zip(draws, log_probs.values, lengths, strict=True):
            found[draw.index] = values[:length].numpy()
        progress(len(draws))
    ordered = [found[index] for index in range(len(dataset))]
    return np.concatenate(ordered), np.array([len(values) for values in ordered], dtype=np.int64)


def _write(file: Path, found: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + ".part")
    with temporary.open("wb") as out:
        np.savez(out, values=found[0], lengths=found[1])
    temporary.replace(file)


def _read(file: Path, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
    """None where there is no file, or a damaged one: a zip archive holds checksums."""
    try:
        with np.load(file) as archive:
            values, lengths = archive["values"], archive["lengths"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    whole = len(lengths) == count and lengths.sum() == len(values)
    return (values, lengths) if whole else None

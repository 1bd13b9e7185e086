"""The speech behind an evaluation, and the model that heard it: found again by its summary."""

from collections.abc import Sequence
from pathlib import Path

from asr.corpus.manifest import Manifest, read_manifest
from asr.scoring.evaluation import Evaluation


def manifest_of(evaluation: Evaluation, named: Sequence[str]) -> Manifest:
    """The manifest that was scored.

    named: files to look among first; else it is where `asr.evaluate` read it.

    Raises:
        ValueError: it is not there, or holds other utterances by now.
    """
    mend = "name it with manifest=[FILE]"
    among = [read_manifest(path) for path in named]
    manifest = next((m for m in among if m.name == evaluation.test_set), None)
    if manifest is None:
        path = evaluation.summary.get("manifest_file")
        if not isinstance(path, str):
            raise ValueError(
                f"{evaluation.folder}: it does not say where the audio of {evaluation.test_set} "
                f"is; evaluate again, or {mend}"
            )
        if not Path(path).is_file():
            raise ValueError(f"{path}: no longer there; if it was moved, {mend}")
        manifest = read_manifest(path)
    if [(u.id, u.text) for u in manifest] != [(u.id, u.reference) for u in evaluation.utterances]:
        raise ValueError(
            f"the manifest of {evaluation.test_set} holds other utterances than {evaluation.folder}"
            f" was scored on; evaluate again, or {mend}"
        )
    return manifest


def checkpoint_of(evaluation: Evaluation) -> Path:
    """The checkpoint that was scored: where it was, or in the run that the evaluation lies in.

    Raises:
        ValueError: it is in neither place.
    """
    then = Path(str(evaluation.summary.get("checkpoint")))
    places = [then, evaluation.folder.parent.parent / then.name]
    found = next(filter(Path.is_file, places), None)
    if found is None:
        raise ValueError(
            f"{' and '.join(map(str, places))}: there is no checkpoint; evaluate again"
        )
    return found

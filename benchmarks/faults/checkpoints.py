"""Checkpoints that are damaged, and checkpoints that mean harm."""

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bench import SAVING, Bench, Found, identical, need, state

from asr.core.checkpoint import load_checkpoint, save_checkpoint

Damage = Callable[[Path, Path], Any]  # of a checkpoint; leaves the second path if its code runs
BOMB_BYTES = 1 << 30


def truncate(path: Path, _: Path) -> None:
    """Its second half goes."""
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path, _: Path) -> None:
    """All of it goes."""
    os.truncate(path, 0)


def flip(path: Path, _: Path, place: float = 0.5) -> None:
    """One bit, at a share of the file's length."""
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 16
    path.write_bytes(content)


def flip_name(path: Path, _: Path) -> None:
    """One bit of a name in the list of records that ends the archive."""
    content = bytearray(path.read_bytes())
    content[content.rindex(b"archive/data/")] ^= 16
    path.write_bytes(content)


class _Touch:
    """Runs a command when it is read by pickle."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


def hostile_pickle(path: Path, mark: Path) -> None:
    """The archive's own pickle gives way to one that runs a command, which is tried first."""
    attack = pickle.dumps({"format": "asr-checkpoint", "version": 1, "config": _Touch(mark)}, 2)
    pickle.loads(attack)
    need(mark.exists(), "the attack is none")
    mark.unlink()
    _rewritten(path, attack)


def bare_pickle(path: Path, mark: Path) -> None:
    """No archive at all, but a pickle that runs a command."""
    path.write_bytes(pickle.dumps(_Touch(mark), 2))


def bomb(path: Path, _: Path) -> None:
    """A gigabyte of zeros in a megabyte, where the pickle was."""
    _rewritten(path, bytes(BOMB_BYTES), zipfile.ZIP_DEFLATED)


def _rewritten(path: Path, pickled: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    new = path.with_suffix(".new")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(new, "w") as archive:
        for info in old.infolist():
            own = info.filename.endswith("data.pkl")
            archive.writestr(
                info.filename, pickled if own else old.read(info),
                compression if own else zipfile.ZIP_STORED, compresslevel=1,
            )  # fmt: skip
    new.replace(path)


def last(bench: Bench, name: str, damage: Damage) -> Found:
    """The newest checkpoint of a killed run is damaged; the one before is not."""
    folder = Path(shutil.copytree(bench.killed(), bench.runs / name))
    mark = bench.folder / f"{name}-mark"
    newest = state(folder)["step"]
    damage(folder / "last.pt", mark)
    run = bench.start(name, SAVING).end(0)
    need(not mark.exists(), "its code ran")
    need((folder / "last.pt.damaged").exists(), "it was not set aside")
    before = int(run.line("^resuming").rpartition(" ")[2])
    said = f"{run.line('^warning: .*last.pt: ')} {run.line('^resuming')}"
    if damage is bomb:
        said += f" (at most {run.peak >> 20} MB of memory)"
        need(run.peak < BOMB_BYTES + (600 << 20), f"it took {run.peak >> 20} MB")
    lost = identical(bench.saving(), folder)
    return Found(said, 0, f"{lost} Update {newest} was made again, from {before} on.")


def all_of_them(bench: Bench, name: str) -> Found:
    """Both checkpoints of a killed run are cut; a copy of one is put back."""
    folder = Path(shutil.copytree(bench.killed(), bench.runs / name))
    for path in folder.glob("last*.pt"):
        truncate(path, path)
    said = bench.start(name, SAVING).end(1).line("^error: ")
    shutil.copyfile(bench.killed() / "last.pt", folder / "last.pt")
    bench.start(name, SAVING).end(0)
    lost = identical(bench.saving(), folder)
    return Found(said, 1, f"{lost} One was put back from a copy, and the same command went on.")


def resumed_config(bench: Bench, name: str) -> Found:
    """The tokenizer in both checkpoints of a killed run is a call of torch.hub.load."""
    mark = bench.folder / f"{name}-mark"
    hub = bench.folder / "hub"
    hub.mkdir()
    code = f"def evil():\n    open({str(mark)!r}, 'w').close()\n"
    (hub / "hubconf.py").write_text(code, encoding="utf-8")
    torch.hub.load(str(hub), "evil", source="local")
    need(mark.exists(), "the attack is none")
    mark.unlink()
    evil = {"_target_": "torch.hub.load", "repo_or_dir": str(hub), "model": "evil",
            "source": "local"}  # fmt: skip
    folder = Path(shutil.copytree(bench.killed(), bench.runs / name))
    for path in folder.glob("last*.pt"):
        save_checkpoint(path, load_checkpoint(path) | {"tokenizer": evil})
    before = (folder / "last.pt").read_bytes()
    run = bench.start(name, SAVING).end(1)
    need(not mark.exists(), "its code ran")
    need((folder / "last.pt").read_bytes() == before, "the checkpoint was changed")
    return Found(run.line("^error: "), 1, "Nothing: no import, no call, no file changed.")


def evaluated_config(bench: Bench, name: str) -> Found:
    """The model in a stranger's checkpoint is a call of os.system."""
    path, mark = bench.folder / f"{name}.pt", bench.folder / f"{name}-mark"
    content = load_checkpoint(bench.saving() / "best.pt")
    content["config"]["model"] = {"_target_": "os.system", "command": f"touch '{mark}'"}
    save_checkpoint(path, content)
    manifest = str(bench.tones / "test.jsonl")
    run = bench.do(name, "evaluate", f"checkpoint={path}", "device=cpu", "threads=1", manifest)
    run.end(1)
    need(not mark.exists(), "its code ran")
    return Found(run.line("^error: "), 1, "Nothing: no import, no call.")

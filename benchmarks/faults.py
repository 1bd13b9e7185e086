"""What becomes of a run, and of a user, when something goes wrong? Each fault is planted for real.

    python benchmarks/faults.py                  # all; about 6 minutes on two quiet cores
    python benchmarks/faults.py --only NAME...   # some, shown only, unless there is an --output

Every fault meets the program as a user runs it: processes of their own, watched from outside
(`faults/`). What was lost is measured by comparing the end with that of an undisturbed run. Full
disks need the right to mount one. Writes `faults.json` and `faults.md`; ends with 1 if something
is not as promised.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "faults"), str(HERE.parent / "tests"), str(HERE), str(HERE.parent)]

import arithmetic  # noqa: E402
import checkpoints  # noqa: E402
import disks  # noqa: E402
import files  # noqa: E402
import signals  # noqa: E402
import strangers  # noqa: E402
import torch  # noqa: E402
from bench import Bench, Found, UnexpectedError  # noqa: E402
from machine import about  # noqa: E402
from page import page  # noqa: E402

RESULTS = HERE / "results"
ESCAPES = (Path("/tmp/evil-of-a-benchmark"),)  # where hostile archives want to write


class Fault(NamedTuple):
    """A fault. planted: how, for people; plant: what does it and looks."""

    name: str
    fault: str
    planted: str
    plant: Callable[[Bench, str], Found]


def member(name: str, *about: Any) -> Callable[[Bench, str], Found]:
    """Plants a hostile member in an archive."""
    body = strangers.hostile(strangers.member(name, *about))
    return partial(strangers.archive, body=body, outside=ESCAPES)


FAULTS = {
    "Disks": [
        Fault("disk-full", "the disk is full for a while",
              "a tmpfs as the run's folder, filled at update 25 while checkpoints, metrics.jsonl "
              "and curves are written, freed after 12 refusals", disks.full_for_a_while),
        Fault("disk-full-for-good", "the disk is full, and nobody makes room",
              "the same, never freed; the folder is then copied to another disk, and the same "
              "command goes on there", disks.full_for_good),
        Fault("log-full", "the disk of the terminal's log is full",
              "stdout and stderr to a file on a tmpfs, filled at update 25, never freed",
              disks.log_full),
        Fault("no-permission", "the run's folder may not be written in for a while",
              "chmod 555 at update 25, by a user without root's rights; 755 after 12 refusals",
              disks.no_permission),
        Fault("folder-removed", "somebody removes the run's folder", "rm -r at update 45",
              disks.removed),
    ],
    "Audio that breaks in mid-run": [
        Fault("file-truncated", "a training file is truncated",
              "its last 2000 bytes cut off at update 4, before its first turn",
              partial(files.train_file, damage=files.truncate)),
        Fault("file-removed", "a training file is removed", "unlinked at update 4",
              partial(files.train_file, damage=files.remove)),
        Fault("file-noise", "a training file holds other bytes",
              "random bytes of the same length at update 4",
              partial(files.train_file, damage=files.noise)),
        Fault("file-forbidden", "a training file may not be read",
              "chmod 000 at update 4, by a user without root's rights",
              partial(files.train_file, damage=files.forbid)),
        Fault("files-too-many", "more files are gone than data.max_unreadable allows",
              "16 of 160 renamed at update 4, and back after the run has stopped", files.too_many),
        Fault("dev-file-truncated", "a validation file is truncated",
              "its last 2000 bytes cut off at update 4, data.max_unreadable=0.1", files.dev_file),
        Fault("dev-files-too-many", "more of validation is gone than data.max_unreadable allows",
              "the same with 0.01; put back after the run has stopped", files.dev_file_too_many),
    ],
    "Processes": [
        Fault("worker-killed", "a loader process dies", "SIGKILL to one of two at update 24",
              partial(files.worker, number=signal.SIGKILL)),
        Fault("worker-hangs", "a loader process hangs",
              "SIGSTOP to one of two at update 24, data.worker_timeout=3",
              partial(files.worker, number=signal.SIGSTOP)),
        Fault("killed", "the run is killed",
              "SIGKILL at update 27, and the same command again (`make torture` does it 100 times)",
              signals.killed),
        Fault("terminated", "the run is asked to stop",
              "SIGTERM to it and its loader process at update 27, and the same command again",
              signals.terminated),
        Fault("rank-killed", "one of two ranks is killed",
              "torchrun; SIGKILL to rank 1 at update 27, and the same with three ranks",
              signals.rank_killed),
        Fault("rank-terminated", "one of two ranks is asked to stop",
              "torchrun; SIGTERM to rank 1 at update 27, and the same command again",
              signals.rank_terminated),
    ],
    "Numbers and memory": [
        Fault("non-finite-skip", "an update is not finite, on_non_finite=skip",
              "a user's augmentation divides one utterance by 0 in each epoch", arithmetic.skip),
        Fault("non-finite-stop", "an update is not finite, on_non_finite=stop",
              "the same; then it is mended, and the same command again", arithmetic.stop),
        Fault("non-finite-for-ever", "no update is finite any more",
              "optimizer.lr=1e30 without warm-up", arithmetic.absurd_rate),
        Fault("out-of-memory", "a batch does not fit into memory",
              "RLIMIT_AS of the run lowered to 600 MB more than it has at update 1, until the "
              "first batch did not fit", arithmetic.out_of_memory),
        Fault("rank-out-of-memory", "a batch does not fit into the memory of one of two ranks",
              "torchrun; the same to rank 1 with 250 MB, and the same command again without",
              arithmetic.rank_out_of_memory),
    ],
    "Checkpoints that are damaged": [
        Fault("checkpoint-truncated", "the newest checkpoint is cut short",
              "half of last.pt of a killed run, and the same command again",
              partial(checkpoints.last, damage=checkpoints.truncate)),
        Fault("checkpoint-empty", "it is empty", "0 bytes",
              partial(checkpoints.last, damage=checkpoints.empty)),
        Fault("checkpoint-bit-names", "a bit of it flips, in the description of its tensors",
              "one bit at 1/2000 of its length",
              partial(checkpoints.last, damage=partial(checkpoints.flip, place=0.0005))),
        Fault("checkpoint-bit-tensor", "a bit of it flips, in a tensor",
              "one bit in its middle", partial(checkpoints.last, damage=checkpoints.flip)),
        Fault("checkpoint-bit-end", "a bit of it flips, in the archive's list of records",
              "one bit of a record's name",
              partial(checkpoints.last, damage=checkpoints.flip_name)),
        Fault("checkpoints-all", "all are damaged",
              "last.pt and last-1.pt cut to a half; then a copy of one is put back",
              checkpoints.all_of_them),
    ],
    "Checkpoints that mean harm": [
        Fault("hostile-pickle", "a hostile pickle in the archive",
              "last.pt with a pickle that runs `touch`, after it was seen to work with "
              "Python's own reader", partial(checkpoints.last, damage=checkpoints.hostile_pickle)),
        Fault("hostile-bare-pickle", "a hostile pickle without an archive",
              "the same call as the whole of last.pt",
              partial(checkpoints.last, damage=checkpoints.bare_pickle)),
        Fault("zip-bomb", "a decompression bomb",
              "last.pt with a compressed record of a gigabyte of zeros",
              partial(checkpoints.last, damage=checkpoints.bomb)),
        Fault("config-hub-load", "torch.hub.load in its configuration",
              "as the tokenizer of all checkpoints of a killed run; its code, seen to run when "
              "called, would leave a file; asr.train", checkpoints.resumed_config),
        Fault("config-os-system", "os.system in its configuration",
              "as the model of best.pt, with `touch`; asr.evaluate", checkpoints.evaluated_config),
    ],
    "Downloads": [
        Fault("server-breaks", "the connection breaks in the middle",
              "a server on loopback that closes after half of AN4's archive; asr.prepare",
              partial(strangers.download, plan=["breaks"])),
        Fault("server-promises", "it promises more than it sends",
              "a Content-Length that is 100 too large",
              partial(strangers.download, plan=["promises too much"])),
        Fault("server-no-length", "it sends no length", "no Content-Length",
              partial(strangers.download, plan=["no length"])),
        Fault("server-wrong-range", "it goes on at a wrong place",
              "breaks, then a range that begins 7 bytes too early",
              partial(strangers.download, plan=["breaks", "wrong range"])),
        Fault("server-no-ranges", "it cannot go on in the middle",
              "breaks, then the whole file whatever is asked",
              partial(strangers.download, plan=["breaks", "no ranges"])),
        Fault("server-busy", "it is busy for a while", "503, 503, then the file",
              partial(strangers.download, plan=["503", "503"])),
        Fault("server-gone", "it is gone after the first half",
              "breaks, then 503 for ever; later the same command again", strangers.server_gone),
        Fault("server-wrong-checksum", "it sends something else",
              "a file whose MD5 is not that of LibriSpeech's dev-clean", strangers.wrong_checksum),
    ],
    "Archives": [
        Fault("tar-dotdot", "a member climbs out",
              "`../../../../../../../../../../tmp/evil-of-a-benchmark` at the end of AN4's archive",
              member(f"{'../' * 10}tmp/evil-of-a-benchmark")),
        Fault("tar-absolute", "a member has an absolute name", f"`{ESCAPES[0]}`",
              member(str(ESCAPES[0]))),
        Fault("tar-symlink", "a symbolic link", "to /tmp, and a file through it",
              partial(strangers.archive, outside=ESCAPES, body=strangers.hostile(
                  strangers.member("an4/link", tarfile.SYMTYPE, "/tmp"),
                  strangers.member("an4/link/evil-of-a-benchmark")))),
        Fault("tar-hardlink", "a hard link", "to /etc/passwd",
              member("an4/link", tarfile.LNKTYPE, "/etc/passwd")),
        Fault("tar-device", "a device", "a character device", member("an4/null", tarfile.CHRTYPE)),
        Fault("tar-cut", "it is cut short", "half of the .tar.gz, sent as if it were all",
              partial(strangers.archive, body=strangers.cut, outside=())),
        Fault("tar-bomb", "a decompression bomb", "2 GB of zeros in 9 MB",
              partial(strangers.archive, body=strangers.bomb, outside=())),
    ],
    "Manifests and audio": [
        Fault("manifest-cut", "a manifest is cut short", "its last 60 bytes are gone; asr.train",
              partial(strangers.manifest, spoil=strangers.cut_line)),
        Fault("manifest-latin1", "a manifest is not UTF-8", "a letter in Latin-1",
              partial(strangers.manifest, spoil=strangers.not_utf8)),
        Fault("manifest-outside", "a manifest points to a file of the machine",
              "/etc/passwd as audio, data.root_only=the corpus",
              partial(strangers.manifest, spoil=strangers.outside,
                      options=["data.root_only={tones}"])),
        Fault("audio-ten-hours-claimed", "a header claims ten hours",
              "a WAV of a second; asr.evaluate, peak memory measured",
              partial(strangers.audio, make=strangers.ten_hours_claimed)),
        Fault("audio-ten-hours", "ten hours in a small file", "a FLAC of silence",
              partial(strangers.audio, make=strangers.ten_hours)),
        Fault("audio-100-channels", "100 channels", "a WAV of a second",
              partial(strangers.audio, make=strangers.many_channels)),
    ],
}  # fmt: skip


def row(bench: Bench, group: str, fault: Fault) -> dict[str, Any]:
    """Plant a fault, and say what came of it."""
    began = time.monotonic()
    try:
        found, good = fault.plant(bench, fault.name), True
    except Exception as error:  # whatever a file holds that is not as promised
        what = str(error) if isinstance(error, UnexpectedError) else repr(error)
        found, good = Found("see the last column", "", f"NOT AS PROMISED: {what}"), False
    finally:
        bench.stop()
    seconds = round(time.monotonic() - began, 1)
    said, lost = (text.replace(f"{bench.folder}/", "") for text in (found.said, found.lost))
    print(f"{'ok' if good else 'NOT AS PROMISED':<3} {fault.name} ({seconds} s): {said}\n    "
          f"exit code {found.code}; {lost}", flush=True)  # fmt: skip
    return {
        "name": fault.name, "group": group, "fault": fault.fault, "planted": fault.planted,
        "said": said, "code": found.code, "lost": lost, "as_promised": good, "seconds": seconds,
    }  # fmt: skip


def main() -> int:
    """Plant faults side by side and write what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [fault.name for faults in FAULTS.values() for fault in faults]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", default=names)
    parser.add_argument("--output", type=Path, help="a folder for the figures")
    parser.add_argument("--jobs", type=int, default=2, help="faults at a time")
    asked = parser.parse_args()
    output = asked.output or (RESULTS if asked.only == names else None)
    torch.set_num_threads(1)
    began, load, machine = time.monotonic(), round(os.getloadavg()[0], 2), about()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        bench = Bench(folder)
        with ThreadPoolExecutor(asked.jobs) as pool:
            planted = [
                pool.submit(row, bench, group, fault)
                for group, faults in FAULTS.items()
                for fault in faults
                if fault.name in asked.only
            ]
            rows = [one.result() for one in planted]
    finally:
        shutil.rmtree(folder)
    seconds = time.monotonic() - began
    failed = sum(not one["as_promised"] for one in rows)
    print(f"{len(rows)} faults in {seconds:.0f} s, {failed} not as promised")
    if output:
        figures = {"faults": rows, "seconds": round(seconds), "jobs": asked.jobs,
                   "load_before": load, "machine": machine}  # fmt: skip
        write(output, figures)
    return 1 if failed else 0


def write(folder: Path, figures: dict[str, Any]) -> None:
    """`faults.json`, and `faults.md` for people."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    (folder / "faults.json").write_text(text + "\n", encoding="utf-8")
    (folder / "faults.md").write_text(page(figures), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

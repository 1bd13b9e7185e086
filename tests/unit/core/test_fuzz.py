"""Damaged and hostile files end in a ValueError, and the fuzzer is not blind."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import REPOSITORY

SCRIPTS = REPOSITORY / "scripts"


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "fuzz.py"), *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_two_thousand_inputs(tmp_path: Path) -> None:
    done = fuzz(
        *("--count", "2001", "--seed", "7", "--seconds", "60", "--jobs", "3"),
        *("--keep", str(tmp_path / "kept"), "--output", str(tmp_path / "figures.json")),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["inputs"] == 2001 and figures["faults"] == 0
    for kind, counts in figures["kinds"].items():
        assert counts["read"] + counts["refused"] == 667, kind
        assert counts["read"] > 50 and counts["refused"] > 50, f"{kind}: inputs of one sort only"
    assert "2001 inputs in " in done.stdout and not (tmp_path / "kept").exists()


def test_planted_faults_are_found_and_their_inputs_kept(tmp_path: Path) -> None:
    done = fuzz("--self-test", "--seconds", "4", "--keep", str(tmp_path))
    assert done.returncode == 1
    assert "4 fault, 5 read, 1 refused" in done.stdout
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    words = {1: "crash-SIGSEGV", 2: "took-more-than", 3: "took-76-MB", 4: "KeyError"}
    assert len(kept) == 4
    for name, content in kept.items():
        assert words[int(content) % 10] in name and name.endswith(f"-1-{content}")


@pytest.mark.parametrize("at", [100, 1000])
def test_vorbis_whose_decoder_cannot_be_set_up(tmp_path: Path, at: int) -> None:
    """With right checksums; libsndfile would crash in a seek, so it is read in another process."""
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.sin(np.arange(4000) / 7), 16000, format="OGG", subtype="VORBIS")
    mend = (
        "import sys; from pathlib import Path; from fuzz_inputs import ogg_mended\n"
        "path = Path(sys.argv[1]); content = bytearray(path.read_bytes())\n"
        f"content[content.index(b'\\5vorbis') + {at}] ^= 0xFF\n"
        "path.write_bytes(ogg_mended(bytes(content)))\n"
    )
    load = (
        "import sys; from asr.core.audio import load_waveform\n"
        "try: load_waveform(sys.argv[1], 16000, offset=0.1)\n"
        "except ValueError as error: print(error)\n"
    )
    for code, says in ((mend, ""), (load, "a.ogg: damaged: it cannot be decoded")):
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            cwd=SCRIPTS, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0 and says in done.stdout, (done.returncode, done.stderr)

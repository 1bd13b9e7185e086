"""The notebooks of docs/ run from first cell to last, and lie in git without outputs."""

import base64
import json
import struct
from pathlib import Path

import nbclient
import nbformat
import pytest
from support import REPOSITORY

NOTEBOOKS = pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "docs").glob("*.ipynb")), ids=lambda p: p.stem
)


@NOTEBOOKS
def test_a_notebook_lies_there_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.keys() == {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None, cell.id


@pytest.mark.slow
@NOTEBOOKS
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": tmp_path}}
    ).execute()
    cells = {cell.id: cell for cell in notebook.cells}
    for name in ("curves", "alignment"):
        (picture,) = (o.data["image/png"] for o in cells[name].outputs if "data" in o)
        head = base64.b64decode(picture)[:24]
        width, height = struct.unpack(">II", head[16:24])
        assert head.startswith(b"\x89PNG") and width > 300 and height > 100, name
    assert "audio" in cells["utterance"].outputs[-1].data["text/html"]
    (folder,) = tmp_path.glob("asr-*")
    summary = json.loads((folder / "runs/first/evaluation/tones-test/summary.json").read_text())
    assert summary["words"]["length"] > 20 and summary["wer"] < 0.1
    assert f"{100 * summary['wer']:.2f}" in "".join(o.text for o in cells["evaluate"].outputs)

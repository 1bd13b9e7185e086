"""engine=ray on a real cluster of two nodes on this machine gives what engine=local gives."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import command

from asr.engine.ray import Ray

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A head and another node, processes of their own with a core each."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    head = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        ray.shutdown()
        cluster.shutdown()


def run(*arguments: str) -> str:
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.js*")}


@pytest.fixture
def engine(address: str) -> Iterator[Ray]:
    yield Ray(address=address)
    ray.shutdown()


def test_both_nodes_work_and_errors_come_as_they_are(engine: Ray) -> None:
    def slowly(item: int) -> tuple[int, int, str]:
        time.sleep(0.05)
        return -item, os.getppid(), os.getcwd()  # noqa: PTH109

    results, parents, folders = zip(
        *engine.map(slowly, range(60), "working", 60, chunk=2), strict=True
    )
    assert results == tuple(-i for i in range(60))
    assert len(set(parents)) == 2, "a worker's parent is its node"
    assert set(folders) == {os.getcwd()}  # noqa: PTH109
    with pytest.raises(ValueError, match=r"^invalid literal for int\(\) with base 10: 'x'$"):
        list(engine.map(int, ["1", "x"], "reading", 2, chunk=1))


def test_a_killed_worker_is_replaced(engine: Ray, tmp_path: Path) -> None:
    def die_once(item: int) -> int:
        mark = tmp_path / str(item)
        if item == 7 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), 9)
        return item

    assert list(engine.map(die_once, range(20), "dying", 20, chunk=1)) == list(range(20))
    assert (tmp_path / "7").exists()


def test_a_worker_that_always_dies_is_named(engine: Ray) -> None:
    with pytest.raises(ValueError, match="engine=ray lost a worker"):
        list(engine.map(lambda _: os.kill(os.getpid(), 9), [1], "dying", 1, chunk=1))


@pytest.mark.parametrize("corpus", ["tones", "an4"])
def test_manifests_and_findings_are_the_same(
    corpus: str, address: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    root = []
    if corpus == "an4":
        root = [f"corpus.root={request.getfixturevalue('shared_data') / 'an4'}"]
    outcomes = []
    for engine in (["engine=local"], ["engine=ray", f"engine.address={address}"]):
        folder = tmp_path / "data"  # the same, for the paths are in the manifests
        prepared = run("prepare", f"corpus={corpus}", *root, f"folder={folder}", *engine)
        manifests = [str(folder / corpus / f"{s}.jsonl") for s in ("train", "dev", "test")]
        found = run("check", *manifests, f"output={folder / 'found.json'}", *engine)
        outcomes.append((prepared, found, files(folder)))
        for path in folder.rglob("*.js*"):
            path.unlink()
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0][2]) == 5, "three manifests, a report, the findings"


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    typed = ("corpus=tones", f"folder={tmp_path}", "engine=ray", "engine.address=127.0.0.1:1")
    done = command("prepare", *typed)
    assert done.returncode == 1
    assert "engine.address=127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr

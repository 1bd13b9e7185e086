"""A real TensorBoard in a real browser shows what a finished run wrote."""

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from support import command, tones_overrides

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """TensorBoard on the folder of two tiny finished runs."""
    folder = tmp_path_factory.mktemp("runs")
    for rate in ("5e-3", "1e-4"):
        options = ["experiment=tones", *tones_overrides(tones, folder), "trainer.epochs=2"]
        done = command("train", *options, f"run=lr{rate}", f"optimizer.lr={rate}")
        assert done.returncode == 0, done.stderr
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    program = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    server = subprocess.Popen(
        [*program, "--host=127.0.0.1", f"--port={port}"], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}/data/plugin/images/tags", "heard/4")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(url: str, content: str) -> None:
    ends_at = time.monotonic() + 120
    while time.monotonic() < ends_at:
        try:
            with urlopen(url, timeout=10) as answer:
                if answer.read().decode().count(content) == 2:  # in both runs
                    return
        except (URLError, OSError):
            pass
        time.sleep(0.5)
    pytest.fail(f"{url} does not show {content}")


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "sync_api.Browser") -> Iterator["sync_api.Page"]:
    """A page that must not have met an error; TensorBoard's own warnings are its own."""
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    page.set_default_timeout(60_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
    page.on("response", lambda r: wrong.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    yield page
    page.close()
    assert wrong == []


def test_it_shows_the_pictures(page: "sync_api.Page", address: str) -> None:
    page.goto(f"{address}/#images")
    for number in range(1, 5):
        name = re.compile(rf"heard/{number} dev-\d+")
        picture = page.locator("tf-image-loader", has_text=name).locator("img").first
        picture.wait_for()
        loaded = "e => e.complete && e.naturalWidth > 0"
        page.wait_for_function(loaded, arg=picture.element_handle())
        assert picture.evaluate("e => e.naturalWidth") == 620


def test_it_shows_the_summary_and_the_speakers(page: "sync_api.Page", address: str) -> None:
    page.goto(f"{address}/#text")
    page.get_by_role("cell", name=re.compile("python -m asr.train .*run=lr5e-3")).first.wait_for()
    page.get_by_role("cell", name="tones/train: 160 utterances, 0.03 h").first.wait_for()
    page.get_by_role("cell", name="low", exact=True).first.wait_for()


def test_its_first_screen_has_loss_wer_and_health(page: "sync_api.Page", address: str) -> None:
    page.goto(f"{address}/#custom_scalars")
    for title in ("loss, nats per token", "error rates", "health: share of frames"):
        chart = page.get_by_text(title, exact=True).first
        chart.wait_for()
        box = chart.bounding_box()
        assert box is not None and box["y"] < 400, "on the first screen"
    page.get_by_text("Is it learning?").wait_for()
    counts = page.get_by_text(re.compile(r"^\s*Matches \([1-9]\d*\)\s*$"))
    counts.nth(7).wait_for()  # curves in each of eight charts


def test_runs_of_a_sweep_are_compared(page: "sync_api.Page", address: str) -> None:
    page.goto(f"{address}/#hparams")
    for text in ("optimizer.lr", "best_wer"):
        page.get_by_text(text, exact=True).first.wait_for()
    for run in ("lr5e-3", "lr1e-4"):
        page.get_by_text(run, exact=True).first.wait_for()


def test_one_hears_the_utterances(page: "sync_api.Page", address: str) -> None:
    page.goto(f"{address}/#audio")
    sound = page.locator("audio").first
    sound.wait_for(state="attached")
    page.wait_for_function("e => e.readyState >= 1", arg=sound.element_handle())
    assert sound.evaluate("e => e.duration") > 0.2

"""The page in a real browser: what it hears is what the command hears, spoken or sent."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import soundfile
from omegaconf import DictConfig
from serving import served
from support import command, tones_overrides

from asr.core.audio import load_waveform
from asr.corpus.manifest import Utterance, read_manifest
from asr.transcribe import main as transcribe_files

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def trained(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt the tones, so that it hears them through a microphone too."""
    runs = tmp_path_factory.mktemp("runs")
    done = command("train", *tones_overrides(tones, runs), "experiment=tones", "run=page")
    assert done.returncode == 0, done.stderr
    return runs / "page"


@pytest.fixture(scope="module")
def sung(tones: Path) -> Utterance:
    return max(read_manifest(tones / "test.jsonl"), key=lambda u: u.duration)


@pytest.fixture(scope="module")
def address(trained: Path, tones: Path) -> Iterator[str]:
    with served(trained, str(tones / "dev.jsonl"), "max_examples=3") as (_, address):
        yield address


@pytest.fixture(scope="module")
def browser(sung: Utterance) -> Iterator["sync_api.Browser"]:
    """A browser whose microphone hears one utterance, once."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    arguments = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sung.audio}%noloop",
    ]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "sync_api.Browser", address: str) -> Iterator["sync_api.Page"]:
    """The page, opened; afterwards it must have asked nobody else, and made no mistake."""
    page = browser.new_page(viewport={"width": 1000, "height": 900}, permissions=["microphone"])
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    page.get_by_text("million parameters").wait_for()
    yield page
    assert all(url.startswith((f"{address}/", f"blob:{address}/", "data:")) for url in asked)
    # A refusal is an answer: the browser notes its status, and nothing else went wrong.
    assert [line for line in said if "responded with a status of 4" not in line] == []
    page.close()


@pytest.fixture
def transcript(
    trained: Path, tmp_path: Path, compose_config: Callable[..., DictConfig]
) -> Callable[[Path, str], str]:
    """transcript(audio, "json"): what `asr.transcribe` writes of a file."""

    def written(audio: Path, form: str) -> str:
        options = [f"checkpoint={trained}", f"inputs=['{audio}']", "device=cpu"]
        files = [f"format=[{'text' if form == 'txt' else form}]", f"output={tmp_path}"]
        transcribe_files(compose_config("transcribe", *options, *files))
        return (tmp_path / f"{audio.name}.{form}").read_text()

    return written


def heard(page: "sync_api.Page") -> list[str]:
    """The words, once all are there."""
    page.locator("#files").wait_for(timeout=60_000)
    return page.locator("#words .word b").all_inner_texts()


def test_a_file_becomes_words_that_can_be_heard_and_kept(
    page: "sync_api.Page", sung: Utterance, transcript: Callable[[Path, str], str]
) -> None:
    page.set_input_files("#file", sung.audio)
    words = json.loads(transcript(Path(sung.audio), "json"))["words"]
    assert heard(page) == [w["text"] for w in words] == sung.text.split()
    starts = page.locator("#words .word small").all_inner_texts()
    assert starts == [f"0:{w['start']:04.1f}" for w in words]
    sure = page.locator("#words .word").evaluate_all(
        "words => words.map(w => Number(getComputedStyle(w).getPropertyValue('--sure')))"
    )
    assert sure == [w["confidence"] for w in words]
    # A click plays a word: it is marked, and the clock ends where the word does.
    last = page.locator("#words .word").last
    last.click()
    page.locator("#words .word[aria-current]").wait_for()
    assert last.get_attribute("aria-current") is not None
    page.get_by_role("button", name="Play", exact=True).wait_for()
    wave = page.get_by_role("slider")
    assert float(wave.get_attribute("aria-valuenow")) == pytest.approx(words[-1]["end"], abs=0.15)
    # The keyboard moves and plays.
    wave.press("Home")
    assert wave.get_attribute("aria-valuenow") == "0.0"
    wave.press("Space")
    page.get_by_role("button", name="Pause").wait_for()
    wave.press("Space")
    for link, form in (
        ("Text", "txt"),
        ("Subtitles, srt", "srt"),
        ("vtt", "vtt"),
        ("JSON", "json"),
    ):
        with page.expect_download() as download:
            page.get_by_role("link", name=link, exact=True).click()
        assert download.value.suggested_filename == f"{Path(sung.audio).name}.{form}"
        kept = Path(download.value.path()).read_text()
        written = transcript(Path(sung.audio), form)
        assert kept == written.replace(sung.audio, Path(sung.audio).name)


def test_what_the_microphone_hears_becomes_words(page: "sync_api.Page", sung: Utterance) -> None:
    """Every letter of it: this corpus's spaces are digital silence, which no microphone gives."""
    page.get_by_role("button", name="Record from the microphone").click()
    page.get_by_role("button", name="Stop recording").wait_for()
    page.wait_for_timeout(1000 * (sung.duration + 1.5))
    page.get_by_role("button", name="Stop recording").click()
    assert "".join(heard(page)) == sung.text.replace(" ", "")
    assert page.locator("#name").inner_text() == "recording.webm"


def test_real_speech_gives_what_the_command_gives(
    page: "sync_api.Page", shared_data: Path, tmp_path: Path, transcript: Callable[[Path, str], str]
) -> None:
    """The model knows no speech: what counts is that both make the same of it."""
    raw = next((shared_data / "an4" / "wav").rglob("*.raw"))
    speech = tmp_path / "speech.wav"
    soundfile.write(speech, load_waveform(raw, 16000, raw="s16be:16000:1"), 16000)
    page.set_input_files("#file", speech)
    assert " ".join(heard(page)) == json.loads(transcript(speech, "json"))["text"] != ""


def test_an_example_is_heard_beside_what_was_said(page: "sync_api.Page", tones: Path) -> None:
    examples = list(read_manifest(tones / "dev.jsonl"))[:3]
    chips = page.locator("#examples button")
    assert chips.count() == 3
    chips.nth(1).click()
    assert heard(page) == examples[1].text.split()
    assert page.locator("#known").inner_text() == f"What was said: {examples[1].text}"


def test_errors_stand_on_the_page(page: "sync_api.Page", tmp_path: Path, sung: Utterance) -> None:
    text = tmp_path / "speech.wav"
    text.write_text("<b>This</b> is a text.\n")
    problem = page.get_by_role("alert")
    page.set_input_files("#file", text)
    problem.get_by_text("speech.wav: not audio that can be read: it looks like").wait_for()
    assert problem.locator("b").count() == 0, "what a file holds is no HTML of ours"
    assert not page.locator("#result").is_visible()
    empty = tmp_path / "empty.wav"
    empty.touch()
    page.set_input_files("#file", empty)
    problem.get_by_text("empty.wav: the file is empty").wait_for()
    # The next recording takes the error away.
    page.set_input_files("#file", sung.audio)
    assert heard(page) == sung.text.split()
    assert not problem.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_light_and_dark(
    page: "sync_api.Page", sung: Utterance, scheme: str
) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    page.emulate_media(color_scheme=scheme)
    page.set_input_files("#file", sung.audio)
    heard(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]

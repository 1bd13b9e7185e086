"""The API keeps its own schema, and says what `asr.transcribe` says."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import schemathesis
import sent_audio  # noqa: F401 (what schemathesis sends)
import soundfile
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from omegaconf import DictConfig
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema
from serving import LIMITS, babbling_app, babbling_checkpoint, recorded, served, wav
from sounds import talk

from asr.corpus.manifest import Utterance
from asr.reporting.timed_text import FORMATS
from asr.transcribe import main as transcribe_files


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return babbling_checkpoint(tmp_path_factory.mktemp("runs") / "babbling" / "best.pt")


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    """Two stretches of one recording, as loud as can be."""
    path = tmp_path_factory.mktemp("audio") / "noise.wav"
    path.write_bytes(wav(np.random.default_rng(0).uniform(-1, 1, 32000)))
    return [
        Utterance("whole", str(path), 2.0, "what was said"),
        Utterance("end", str(path), 0.5, "", offset=1.5),
    ]


@pytest.fixture(scope="module")
def client(checkpoint: Path, examples: list[Utterance]) -> Iterator[TestClient]:
    with TestClient(babbling_app(checkpoint, examples)) as client:
        yield client


# ------------------------------------------------------------------ its own schema


OPERATIONS = [
    ("POST", "/transcribe"),
    ("GET", "/health"),
    ("GET", "/examples"),
    ("GET", "/examples/{number}"),
]


@pytest.fixture(scope="module")
def described(checkpoint: Path, examples: list[Utterance]) -> BaseSchema:
    return schemathesis.openapi.from_asgi("/openapi.json", babbling_app(checkpoint, examples))


def test_the_schema_describes_what_is_tested(described: BaseSchema) -> None:
    found = [operation.ok().label for operation in described.get_all_operations()]
    assert sorted(found) == sorted(" ".join(operation) for operation in OPERATIONS)
    problem = {"$ref": "#/components/schemas/Problem"}
    for method, path in OPERATIONS:
        for status, answer in described[path][method].definition.raw["responses"].items():
            if status != "200":
                assert answer["content"]["application/json"]["schema"] == problem, (path, status)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_api_keeps_its_schema(
    described: BaseSchema, method: str, path: str, mode: GenerationMode
) -> None:
    """All of schemathesis's checks, of requests that fit the schema and of those that do not."""
    operation = described[path][method]
    if mode.is_negative and not (operation.body or operation.query or operation.path_parameters):
        return  # there is nothing to get wrong

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(mode))
    def keeps(case: schemathesis.Case) -> None:
        case.call_and_validate()

    keeps()


@pytest.mark.slow
def test_the_server_keeps_its_schema_for_long(
    checkpoint: Path, examples: list[Utterance], repository: Path, tmp_path: Path
) -> None:
    """Schemathesis's own command on the real server, with all its checks and phases."""
    with served(checkpoint, examples[0].audio) as (_, address):
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json",
             "--checks=all", "--max-examples=100", "--seed=1"],
            env=os.environ | {
                "SCHEMATHESIS_HOOKS": "sent_audio",
                "PYTHONPATH": f"{repository}{os.pathsep}{repository / 'tests'}",
            },
            cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout


# ------------------------------------------------------------------ what it says


def test_the_api_and_the_command_hear_the_same(
    client: TestClient,
    checkpoint: Path,
    tmp_path: Path,
    compose_config: Callable[..., DictConfig],
) -> None:
    """24 seconds, so that there are two pieces; every format, byte for byte."""
    path = tmp_path / "long talk.wav"
    path.write_bytes(wav(talk(24 * 16000)))
    transcribe_files(
        compose_config(
            "transcribe", f"checkpoint={checkpoint}", f"inputs=['{path}']", f"output={tmp_path}",
            "device=cpu", f"format=[{','.join(FORMATS)}]",
        )
    )  # fmt: skip

    def said(name: str) -> str:
        ending = FORMATS[name][1]
        file = tmp_path / ("words.ctm" if name == "ctm" else f"long talk.wav{ending}")
        return file.read_text().replace(f"{tmp_path}/", "")

    files = {"file": (path.name, path.read_bytes())}
    for name in FORMATS:
        answer = client.post("/transcribe", params={"format": name}, files=files)
        assert answer.status_code == 200
        assert answer.text == said(name), name
    words = json.loads(said("json"))["words"]
    assert len(words) > 10

    answer = client.post("/transcribe", params={"format": "lines"}, files=files)
    *pieces, last = map(json.loads, answer.text.splitlines())
    assert len(pieces) == 2 and pieces[0]["duration"] < pieces[1]["duration"] == 24.0
    assert [word for piece in pieces for word in piece["words"]] == words
    assert last == {"formats": {name: said(name) for name in FORMATS}}


@pytest.mark.parametrize("form", [("webm", "libopus"), ("mp4", "aac")])
def test_what_browsers_record_is_heard(client: TestClient, form: tuple[str, str]) -> None:
    files = {"file": ("recording.webm", recorded(talk(3 * 48000), *form))}
    answer = client.post("/transcribe", files=files).json()
    assert answer["name"] == answer["audio"] == "recording.webm"
    assert answer["duration"] == pytest.approx(3, abs=0.1) and answer["words"]


def test_examples_are_the_samples_they_were(
    client: TestClient, examples: list[Utterance], tmp_path: Path
) -> None:
    listed = client.get("/examples").json()
    assert listed[0] == {"name": "whole", "duration": 2.0, "text": "what was said"}
    original, _ = soundfile.read(examples[0].audio, dtype="int16")
    for number, expected in enumerate([original, original[24000:]]):
        path = tmp_path / "a.wav"
        path.write_bytes(client.get(f"/examples/{number}").content)
        samples, rate = soundfile.read(path, dtype="int16")
        assert rate == 16000
        np.testing.assert_array_equal(samples, expected)


def test_an_example_that_is_gone_is_said_to_be(checkpoint: Path, tmp_path: Path) -> None:
    gone = Utterance("u1", str(tmp_path / "gone.wav"), 1.0, "")
    with TestClient(babbling_app(checkpoint, [gone])) as client:
        answer = client.get("/examples/0")
        assert answer.status_code == 422
        assert answer.json() == {"error": "u1: no such file; name an audio file that can be read"}


# ------------------------------------------------------------------ what it refuses

GOOD = wav(talk(16000))
LONG = recorded(np.zeros(60 * 48000, np.float32), "webm", "libopus")
REFUSALS = {
    "text": (422, "a.wav: not audio that can be read: it looks like text (it starts with 'hello"),
    "empty": (422, "a.wav: the file is empty"),
    "cut": (422, "a.wav: truncated: its end is missing"),
    "broken webm": (422, "a.wav: truncated or damaged"),
    "long webm": (422, "a.wav: it lasts more than 25 s, but at most 25 s are recognised here"),
    "long wav": (422, "a.wav: it lasts 60 s, but at most 25 s"),
    "large": (413, "the upload is larger than 1 MB (max_megabytes)"),
}  # fmt: skip
SENT = {
    "text": b"hello, this is a text\n",
    "empty": b"",
    "cut": GOOD[:20000],
    "broken webm": LONG[:100],
    "long webm": LONG,
    "long wav": wav(np.zeros(60 * 8000), 8000),
    "large": bytes(1_100_000),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_cannot_be_recognised_is_refused_with_a_reason(client: TestClient, what: str) -> None:
    status, message = REFUSALS[what]
    answer = client.post("/transcribe", files={"file": ("a.wav", SENT[what])})
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert message in answer.json()["error"]
    assert "/tmp" not in answer.text, "where the server keeps things is its own business"
    assert client.get("/health").json()["busy"] == 0


def test_every_error_has_one_shape(client: TestClient) -> None:
    described = client.get("/openapi.json").json()["paths"]["/transcribe"]["post"]["responses"]
    assert described.keys() == {"200", "400", "408", "413", "415", "422", "503"}
    files = {"file": ("a.wav", GOOD)}
    for answer, status, message in (
        (client.post("/transcribe", files=files, params={"format": "doc"}), 422, "choose from ctm"),
        (client.post("/transcribe", content=GOOD), 415, "curl -F file=@a.wav"),
        (client.post("/transcribe", files={"sound": ("a.wav", GOOD)}), 422, "field `file`"),
        (client.post("/transcribe", files=[("file", files["file"])] * 2), 422, "one recording"),
        (client.post("/transcribe", files={"file": (None, "text")}), 422, "field `file`"),
        (client.get("/transcribe"), 405, "Method Not Allowed"),
        (client.get("/examples/7"), 404, "there is no example 7: there are 2"),
        (client.get("/examples/x"), 422, "path.number"),
        (client.get("/nothing"), 404, "Not Found"),
    ):
        assert (answer.status_code, list(answer.json())) == (status, ["error"])
        assert message in answer.json()["error"]


def test_damage_behind_the_first_piece_ends_the_lines_with_an_error(
    checkpoint: Path, tmp_path: Path
) -> None:
    """A sample that is no number at 34 s: the first piece was sent by then, with status 200."""
    samples = talk(36 * 16000)
    samples[34 * 16000] = np.nan
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    limits = LIMITS._replace(megabytes=3, seconds=60)
    with TestClient(babbling_app(checkpoint, limits=limits, batch_size=1)) as client:
        files = {"file": ("a.wav", path.read_bytes())}
        answer = client.post("/transcribe", files=files, params={"format": "lines"})
        piece, last = map(json.loads, answer.text.splitlines())
        assert answer.status_code == 200 and piece["words"]
        assert list(last) == ["error"] and "a.wav: sample 544000 (34.000 s)" in last["error"]
        assert client.post("/transcribe", files=files).status_code == 422

"""Recordings take turns in a thread of their own, and there are only so many places."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from serving import LIMITS, wav
from sounds import talk
from starlette.exceptions import HTTPException

from asr.scoring.transcript import Heard
from asr.web.api import Site
from asr.web.app import create_app
from asr.web.desk import Desk


def test_health_answers_while_a_recording_is_recognised() -> None:
    working, go_on = threading.Event(), threading.Event()

    def recognise(path: Path) -> Iterator[Heard]:
        working.set()
        assert go_on.wait(20)
        yield Heard(1.0, "done", [])

    app = create_app(Site(Desk(recognise, max_requests=1), LIMITS, [], "slow", 0))

    async def scenario() -> None:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            files = {"file": ("a.wav", wav(talk(16000)))}
            first = asyncio.create_task(client.post("/transcribe", files=files))
            assert await asyncio.to_thread(working.wait, 20)
            health = (await client.get("/health")).json()
            assert health["ready"] and health["busy"] == health["max_requests"] == 1
            refused = await client.post("/transcribe", files=files)
            assert refused.status_code == 503 and int(refused.headers["Retry-After"]) > 0
            assert "max_requests" in refused.json()["error"]
            go_on.set()
            assert (await first).status_code == 200
            assert (await client.get("/health")).json()["busy"] == 0

    asyncio.run(scenario())


def test_a_short_recording_does_not_wait_for_a_long_one() -> None:
    threads = set()

    def recognise(path: Path) -> Iterator[Heard]:
        for piece in range(int(path.name)):
            threads.add(threading.current_thread())
            yield Heard(float(piece), "", [])

    async def scenario() -> list[str]:
        desk, ended = Desk(recognise, max_requests=2), []

        async def hear(name: str) -> None:
            async for _ in desk.hear(Path(name)):
                pass
            ended.append(name)

        await asyncio.gather(hear("1000"), hear("2"))
        return ended

    assert asyncio.run(scenario()) == ["2", "1000"]
    assert len(threads) == 1 and threading.main_thread() not in threads


def test_whoever_stops_asking_stops_the_work() -> None:
    asked = []

    def recognise(path: Path) -> Iterator[Heard]:
        for piece in range(100):
            asked.append(piece)
            yield Heard(float(piece), "", [])

    async def scenario() -> None:
        async for heard in Desk(recognise, max_requests=1).hear(Path("a")):
            if heard.end == 2:
                break
        await asyncio.sleep(0.05)

    asyncio.run(scenario())
    assert asked == [0, 1, 2]


def test_places_are_given_back_whatever_happens() -> None:
    desk = Desk(lambda path: iter(()), max_requests=2)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), desk.place(), desk.place():
            with pytest.raises(HTTPException), desk.place():
                pass
            assert desk.busy == 2
            raise ZeroDivisionError
        assert desk.busy == 0
    with pytest.raises(ValueError, match="max_requests=0"):
        Desk(lambda path: iter(()), max_requests=0)

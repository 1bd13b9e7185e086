"""What tests of the page and its API share: a recogniser that babbles, and recordings to send."""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import av
import numpy as np
import soundfile
import torch
from fastapi import FastAPI
from omegaconf import OmegaConf
from support import CONFIGS, REPOSITORY

from asr.core.checkpoint import load_checkpoint, save_checkpoint
from asr.corpus.manifest import Utterance
from asr.decoder.greedy import Greedy
from asr.scoring.transcript import transcribe
from asr.tokenizer.char import Char
from asr.web.api import Site
from asr.web.app import create_app
from asr.web.desk import Desk
from asr.web.reception import Limits
from asr.wiring.fingerprint import feature_fingerprint
from asr.wiring.recognizer import build_recognizer, load_recognizer

LIMITS = Limits(megabytes=1, seconds=25, upload_seconds=20)


def babbling_checkpoint(path: Path) -> Path:
    """An untrained recogniser, whose many words hang on every detail of what it hears."""
    groups = {"features": "log_mel", "spec_augment": "none", "model": "deepspeech2_tiny"}
    config = {
        group: OmegaConf.to_container(OmegaConf.load(CONFIGS / group / f"{name}.yaml"))
        for group, name in groups.items()
    }
    torch.manual_seed(0)
    recognizer = build_recognizer(config, Char([" ", *"abcdeg"]))
    with torch.no_grad():
        for weight in recognizer.parameters():
            weight.mul_(3)
    content = {
        "config": config,
        "tokenizer": recognizer.tokenizer.state(),
        "weights": recognizer.state_dict(),
        "feature_fingerprint": feature_fingerprint(recognizer.features),
        "versions": {},
    }
    save_checkpoint(path, content)
    return path


def babbling_app(
    checkpoint: Path,
    examples: list[Utterance] | None = None,
    limits: Limits = LIMITS,
    batch_size: int = 8,
) -> FastAPI:
    """The application, in this process."""
    recognizer, _ = load_recognizer(load_checkpoint(checkpoint), checkpoint)
    recognise = partial(
        transcribe, recognizer, Greedy(recognizer.tokenizer), max_seconds=20, batch_size=batch_size
    )
    desk = Desk(recognise, max_requests=3)
    return create_app(Site(desk, limits, examples or [], "babbling", recognizer.num_parameters))


@contextmanager
def served(checkpoint: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command as a user runs it, on a free port: the process, and the page's address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "asr.serve", f"checkpoint={checkpoint}", "port=0", "device=cpu",
         "threads=1", *arguments],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        said = ""
        while not (address := re.search(r"http://\S+(?=/ )", said)):
            line = server.stdout.readline()
            assert line, f"it ended: {said}"
            said += line
        yield server, address[0]
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGKILL)
        server.wait()
        server.stdout.close()


def wav(samples: np.ndarray, rate: int = 16000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def recorded(samples: np.ndarray, form: str, codec: str, rate: int = 48000) -> bytes:
    """(N,) samples as a browser records them: `form` is webm or mp4, such as with opus or aac."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as media:
        stream = media.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate = rate
        fifo = av.AudioResampler(
            format=stream.format.name, layout="mono", rate=rate, frame_size=stream.frame_size
        )
        for whole in (frame, None):
            for part in fifo.resample(whole):
                media.mux(stream.encode(part))
        media.mux(stream.encode(None))
    return file.getvalue()

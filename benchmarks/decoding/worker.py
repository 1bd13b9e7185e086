"""The side of a decoder: a process that reads requests, a JSON line each, and answers in kind.

Needs nothing but numpy, so that it serves the peers' environment as well as the project's. It
times the call that decodes an utterance (or a batch) and gives the text, nothing else. The
language model is loaded, and a few utterances are decoded, before the clock starts.
"""

import gzip
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parents[3] / "shared/data/decoding"
TOKENS = ["-", "|", "'", *"abcdefghijklmnopqrstuvwxyz"]  # blank, word boundary, letters
_WARM_UP = 5  # utterances


class Peer(ABC):
    """A decoder with settings of its own; `arpa` is the language model, not compressed."""

    name: str
    batched = False  # whether it takes all utterances in one call

    def __init__(self, arpa: Path, words: list[str]) -> None:
        self.arpa, self.words = arpa, words

    @abstractmethod
    def prepare(self, settings: dict[str, Any]) -> None:
        """Get ready to decode with these settings."""

    @abstractmethod
    def decode(self, log_probs: np.ndarray) -> str:
        """The text of (T, V) float32 log-probabilities."""

    def gather(self, log_probs: list[np.ndarray]) -> Any:
        """Many utterances as `decode_batch` takes them."""
        return log_probs

    def decode_batch(self, log_probs: Any) -> list[str]:
        """The texts of many utterances; a decoder of several threads spreads them."""
        return [self.decode(one) for one in log_probs]


def language_model() -> tuple[Path, list[str]]:
    """The 3-gram as a plain ARPA file, unpacked once, and the words it lists."""
    arpa = Path(sys.prefix) / "lm_3gram.arpa"
    if not arpa.exists():
        part = arpa.with_suffix(f".{os.getpid()}")
        part.write_bytes(gzip.decompress((DATA / "lm_3gram.arpa.gz").read_bytes()))
        part.replace(arpa)
    words = []
    with arpa.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("\\2-grams:"):
                break
            if len(fields := line.rstrip("\n").split("\t")) >= 2:
                words.append(fields[1])
    return arpa, [word for word in words if word not in ("<unk>", "<s>", "</s>")]


def answer(peer: Peer, request: dict[str, Any], utterances: list[np.ndarray]) -> dict[str, Any]:
    """Decode utterances `first` to `last`, `repeats` times: texts, best seconds of each.

    A decoder that takes a batch gets one, as programs hand it over; each utterance has its share.
    With `copies`: all of them that many times over as one batch, and the seconds for the batch.
    """
    peer.prepare(request["settings"])
    inputs = utterances[request["first"] : request["last"]]
    if copies := request.get("copies"):
        peer.decode_batch(peer.gather(inputs))
        batch = peer.gather(inputs * copies)
        began = time.perf_counter()
        texts = peer.decode_batch(batch)
        return {"texts": texts[: len(inputs)], "seconds": time.perf_counter() - began}
    for one in inputs[:_WARM_UP]:
        peer.decode(one)
    texts, seconds = [""] * len(inputs), np.full(len(inputs), np.inf)
    for _ in range(request.get("repeats", 1)):
        if peer.batched:
            batch = peer.gather(inputs)
            began = time.perf_counter()
            texts = peer.decode_batch(batch)
            seconds = np.minimum(seconds, (time.perf_counter() - began) / len(inputs))
            continue
        for index, one in enumerate(inputs):
            began = time.perf_counter()
            texts[index] = peer.decode(one)
            seconds[index] = min(seconds[index], time.perf_counter() - began)
    return {"texts": texts, "seconds": seconds.tolist()}


def serve(peers: list[type[Peer]]) -> None:
    """Be the peer that the command line names, until the requests end."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not lie among the answers
    kind = next(peer for peer in peers if peer.name == sys.argv[1])
    peer = kind(*language_model())
    log_probs = np.load(DATA / "log_probs.npz")["log_probs"].astype(np.float32)
    for line in sys.stdin:
        print(json.dumps(answer(peer, json.loads(line), list(log_probs))), file=replies, flush=True)

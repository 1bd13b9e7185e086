"""Our decoder beside the peers; runs in the project's environment, as a `worker`.

    .venv/bin/python benchmarks/decoding/ours.py NAME [THREADS]

Our policy for words outside the lexicon is the peers': there are none.
"""

import sys
from typing import Any

import numpy as np
from worker import TOKENS, Peer, serve

# As the peers' in tune.py: what is generous, and from where to where each option is searched.
# What no try goes below (5 nats, frames of 98 % blank) is what still searches on other speech.
GENEROUS = {"beam_size": 100, "beam_threshold": 15.0, "blank_skip": 1.0}
SPACE: dict[str, tuple[Any, ...]] = {
    "lm_weight": ("linear", 0.2, 1.5),
    "word_score": ("linear", -1.0, 4.0),
    "beam_size": ("count", 8, 200),
    "beam_threshold": ("log", 5.0, 20.0),
    "blank_skip": ("choice", 1.0, 0.999, 0.99, 0.98),
}


class Ours(Peer):
    """`asr.decoder.beam.Beam`, given a batch as the program does."""

    name = "ours"
    batched = True

    decoder = None

    def prepare(self, settings: dict[str, Any]) -> None:
        from asr.decoder.beam import Beam
        from asr.tokenizer.symbols import Symbols

        options = {
            "lm_weight": settings["lm_weight"],
            "word_score": settings["word_score"],
            "beam_size": settings["beam_size"],
            "beam_threshold": settings["beam_threshold"],
            "blank_skip_threshold": settings["blank_skip"],
        }
        if self.decoder is None:
            threads = int(sys.argv[2]) if len(sys.argv) > 2 else 1
            self.decoder = Beam(
                Symbols(TOKENS, "|"), lm=str(self.arpa), lm_unit="word", lexicon="lm",
                hotwords=None, beam_size_token=None, token_threshold=None, recombine=True,
                nbest=1, threads=threads,
                **options,
            )  # fmt: skip
        self.decoder = self.decoder.with_options(**options)

    def decode(self, log_probs: np.ndarray) -> str:
        return self.decode_batch(self.gather([log_probs]))[0]

    def gather(self, log_probs: list[np.ndarray]) -> Any:
        import torch

        from asr.core.padded import Padded

        return Padded.stack([torch.from_numpy(one) for one in log_probs])

    def decode_batch(self, log_probs: Any) -> list[str]:
        return [hypotheses[0].text.strip() for hypotheses in self.decoder(log_probs)]


class Greedy(Ours):
    """No language model and no search: a line of reference."""

    name = "greedy"

    def prepare(self, settings: dict[str, Any]) -> None:
        from asr.decoder.greedy import Greedy
        from asr.tokenizer.symbols import Symbols

        self.decoder = Greedy(Symbols(TOKENS, "|"))


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    serve([Ours, Greedy])

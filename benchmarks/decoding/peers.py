"""The decoders that ours is measured beside; runs in the peers' environment, as a `worker`.

    .peers_env/bin/python benchmarks/decoding/peers.py NAME

One policy for words outside the lexicon: there are none. The lexicon is the 15,486 words of the
3-gram. flashlight-text can be closed (`unk_score` -inf); the other two cannot, but punish a begun
word that no word of theirs begins with, and so much (-100 nats; their default is -10) that no
such hypothesis outlives its first frame where there is any other.
"""

from typing import Any

import numpy as np
from worker import TOKENS, Peer, serve

CLOSED = -100.0


class Flashlight(Peer):
    """Its own bindings, set up as torchaudio's `ctc_decoder` does: a word ends with a boundary."""

    name = "flashlight-text"

    def __init__(self, arpa, words) -> None:
        from flashlight.lib.text.decoder import SmearingMode, Trie
        from flashlight.lib.text.decoder.kenlm import KenLM
        from flashlight.lib.text.dictionary import Dictionary

        super().__init__(arpa, words)
        self.dictionary = Dictionary()
        for word in [*words, "<unk>"]:
            self.dictionary.add_entry(word)
        self.lm = KenLM(str(arpa), self.dictionary)
        self.trie = Trie(len(TOKENS), TOKENS.index("|"))
        start = self.lm.start(False)
        for word in words:
            number = self.dictionary.get_index(word)
            spelling = [TOKENS.index(token) for token in f"{word}|"]
            self.trie.insert(spelling, number, self.lm.score(start, number)[1])
        self.trie.smear(SmearingMode.MAX)

    def prepare(self, settings: dict[str, Any]) -> None:
        from flashlight.lib.text.decoder import (
            CriterionType,
            LexiconDecoder,
            LexiconDecoderOptions,
        )

        options = LexiconDecoderOptions(
            beam_size=settings["beam_size"], beam_size_token=settings["beam_size_token"],
            beam_threshold=settings["beam_threshold"], lm_weight=settings["lm_weight"],
            word_score=settings["word_score"], unk_score=-np.inf, sil_score=settings["sil_score"],
            log_add=settings["log_add"], criterion_type=CriterionType.CTC,
        )  # fmt: skip
        self.decoder = LexiconDecoder(
            options, self.trie, self.lm, TOKENS.index("|"), TOKENS.index("-"),
            self.dictionary.get_index("<unk>"), [], False,
        )  # fmt: skip

    def decode(self, log_probs: np.ndarray) -> str:
        self.decoder.decode_begin()
        self.decoder.decode_step(log_probs.ctypes.data, *log_probs.shape)
        self.decoder.decode_end()
        words = self.decoder.get_best_hypothesis().words
        return " ".join(self.dictionary.get_entry(word) for word in words if word >= 0)


class CtcBeamDecoder(Peer):
    """`decode`, which keeps one hypothesis for each history that the model tells apart."""

    name = "ctc-beam-decoder"
    _weights = None

    def build(self, weights: dict[str, float]):
        """A decoder; here the weights belong to its construction."""
        from ctc_beam_decoder import build_ctcdecoder

        return build_ctcdecoder(
            ["", " ", *TOKENS[2:]], str(self.arpa), self.words, unk_score_offset=CLOSED, **weights
        )

    def prepare(self, settings: dict[str, Any]) -> None:
        weights = {"alpha": settings["lm_weight"], "beta": settings["word_score"]}
        if weights != self._weights:
            self.decoder, self._weights = self.build(weights), weights
        self.options = {
            "beam_width": settings["beam_size"],
            "beam_prune_logp": -settings["beam_threshold"],
            "token_min_logp": -settings["token_threshold"],
        }

    def decode(self, log_probs: np.ndarray) -> str:
        return self.decoder.decode(log_probs, **self.options)


class Pyctcdecode(CtcBeamDecoder):
    """The original of the above, in Python."""

    name = "pyctcdecode"

    def build(self, weights: dict[str, float]):
        from pyctcdecode import build_ctcdecoder

        if self._weights:
            self.decoder.reset_params(**weights)
            return self.decoder
        return build_ctcdecoder(
            ["", " ", *TOKENS[2:]], str(self.arpa), self.words, unk_score_offset=CLOSED, **weights
        )


if __name__ == "__main__":
    serve([Flashlight, CtcBeamDecoder, Pyctcdecode])

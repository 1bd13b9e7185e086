"""Log-probabilities that another program made: decoded, and scored where references are given."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from asr.core.padded import Padded
from asr.ctc.loss import ctc_loss, feasible
from asr.decoder.base import Decoder
from asr.scoring.error_rate import ErrorCounts, character_errors, word_errors
from asr.scoring.interval import bootstrap_interval
from asr.tokenizer.base import Tokenizer


@dataclass(frozen=True, slots=True)
class Decoded:
    """One utterance. score: of the hypothesis, nats.

    nbest: different texts and their scores, best first.
    loss: nats of the reference's tokens; None where there is no reference, or where it cannot be
    spelt. Infinite where the posteriors rule it out or it does not fit.
    """

    index: int
    hypothesis: str
    score: float
    nbest: tuple[tuple[str, float], ...]
    reference: str | None = None
    loss: float | None = None
    words: ErrorCounts | None = None
    characters: ErrorCounts | None = None


@torch.inference_mode()
def decode_all(
    log_probs: Padded,
    decoder: Decoder,
    tokenizer: Tokenizer,
    references: Sequence[str] | None,
    batch_size: int,
) -> Iterator[Decoded]:
    """Decode (B, T, V) log-probabilities, a batch at a time.

    Raises:
        ValueError: the batch size is not positive.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1")
    for start in range(0, len(log_probs.values), batch_size):
        part = Padded(*(x[start : start + batch_size] for x in log_probs))
        heard = [tuple((h.text, h.score) for h in hypotheses) for hypotheses in decoder(part)]
        if references is None:
            for i, nbest in enumerate(heard, start):
                yield Decoded(i, *nbest[0], nbest)
            continue
        texts = references[start : start + batch_size]
        for i, (nbest, text, loss) in enumerate(
            zip(heard, texts, _losses(part, texts, tokenizer), strict=True), start
        ):
            best, score = nbest[0]
            errors = word_errors(text, best), character_errors(text, best)
            yield Decoded(i, best, score, nbest, text, loss, *errors)


def _losses(log_probs: Padded, texts: Sequence[str], tokenizer: Tokenizer) -> list[float | None]:
    """Nats of each text; None where the tokens cannot spell it."""
    spelt: list[list[int] | None] = []
    for text in texts:
        try:
            spelt.append(tokenizer.encode(text))
        except ValueError:
            spelt.append(None)
    rows = [torch.tensor(tokens or [], dtype=torch.int64) for tokens in spelt]
    tokens = Padded.stack(rows)
    losses = ctc_loss(log_probs, tokens)
    losses = losses.masked_fill(~feasible(log_probs.lengths, tokens), torch.inf)
    return [None if own is None else loss for own, loss in zip(spelt, losses.tolist(), strict=True)]


def read_references(path: Path, count: int) -> list[str]:
    """Lines of a text file, one an utterance.

    Raises:
        ValueError: it cannot be read, or has another number of lines.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"references={path}: {error}") from None
    if len(lines) != count:
        raise ValueError(
            f"references={path}: {len(lines)} lines for {count} utterances; if that is the number "
            "of frames, posteriors.layout is not what was declared"
        )
    return [" ".join(line.split()) for line in lines]


def summary_lines(decoded: Sequence[Decoded]) -> list[str]:
    """What the terminal shows: error rates with their interval, and the loss."""
    scored = [d for d in decoded if d.words is not None and d.characters is not None]
    if not scored:
        return [f"{len(decoded)} utterances; give references= to score them"]
    words, characters = [d.words for d in scored if d.words], [d.characters for d in scored]
    low, high = bootstrap_interval(words)
    lines = [
        f"{sum(words, ErrorCounts(0, 0, 0, 0)).kaldi()}   95 % interval "
        f"{100 * low:.2f} - {100 * high:.2f}",
        sum((c for c in characters if c), ErrorCounts(0, 0, 0, 0)).kaldi("CER"),
    ]
    losses = [d.loss for d in scored if d.loss is not None]
    finite = [loss for loss in losses if math.isfinite(loss)]
    if finite:
        lines.append(
            f"loss {sum(finite) / len(finite):.4f} nats per utterance, {len(finite)} of them"
        )
    if len(finite) < len(losses):
        lines.append(
            f"{len(losses) - len(finite)} references are impossible: too long for their frames, or "
            "of probability 0 (posteriors.epsilon=1e-7 is what Keras does about that)"
        )
    if len(losses) < len(scored):
        lines.append(f"{len(scored) - len(losses)} references cannot be spelt with these tokens")
    return lines


def write_decoded(decoded: Sequence[Decoded], folder: Path) -> None:
    """Write `hypotheses.jsonl`, an utterance a line, and `summary.txt`; infinity becomes null."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "hypotheses.jsonl").open("w", encoding="utf-8") as file:
        for one in decoded:
            fields = asdict(one)
            fields["nbest"] = [[text, _finite(score)] for text, score in one.nbest]
            for key in ("loss", "score"):
                fields[key] = _finite(fields[key])
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")
    (folder / "summary.txt").write_text("\n".join(summary_lines(decoded)) + "\n", encoding="utf-8")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

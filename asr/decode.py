"""python -m asr.decode: posteriors of any framework -> text, and with references loss and WER.

python -m asr.decode softmax.npy tokens=tokens.txt posteriors.kind=probabilities \\
    posteriors.layout=btv posteriors.blank=last posteriors.epsilon=1e-7 references=texts.txt
python -m asr.decode logits.npz tokens=tokens.txt posteriors.kind=logits posteriors.layout=tbv \\
    posteriors.blank=first posteriors.array=logits posteriors.lengths=lengths output=decoded
python -m asr.decode one.h5 tokens=tokens.txt posteriors.kind=log_probs posteriors.layout=tv \\
    posteriors.blank=0 space='|' decoder=beam decoder.lm=lm.arpa
"""

import sys

from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Read, check, decode, print and score."""
    from pathlib import Path

    from asr.data.posteriors import blank_index, read_posteriors, read_symbols
    from asr.scoring.foreign import decode_all, read_references, summary_lines, write_decoded
    from asr.tokenizer.symbols import Symbols
    from asr.wiring.build import build, plain_config

    if len(config.inputs) != 1:
        raise ValueError("name one file of posteriors: python -m asr.decode FILE tokens=FILE ...")
    declared = plain_config(config.posteriors)
    log_probs = read_posteriors(Path(config.inputs[0]), **declared)
    count, _, size = log_probs.values.shape
    if config.tokens is None:
        raise ValueError(f"tokens=FILE is needed: one symbol a line for each of the {size} symbols")
    blank = blank_index(declared["blank"], size)
    tokenizer = Symbols(read_symbols(Path(config.tokens), size, blank), config.space)
    references = None
    if config.references is not None:
        references = read_references(Path(config.references), count)
    decoder = build(config.decoder, tokenizer, trusted=list(config.trusted_targets))
    decoded = []
    for one in decode_all(log_probs, decoder, tokenizer, references, config.batch_size):
        decoded.append(one)
        sys.stdout.write(f"{one.index}\t{one.hypothesis}\n")
    for line in summary_lines(decoded):
        sys.stderr.write(line + "\n")
    if config.output is not None:
        write_decoded(decoded, Path(config.output))


if __name__ == "__main__":
    run_command("decode", main)

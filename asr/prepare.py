"""python -m asr.prepare: a corpus -> data/<corpus>/<split>.jsonl and a report of what it holds.

python -m asr.prepare                                                  # the embedded corpus
python -m asr.prepare corpus=an4 corpus.root=/data/an4                 # or without root: download
python -m asr.prepare corpus=librispeech corpus.subsets=[dev-clean]
python -m asr.prepare corpus=table corpus.name=mine corpus.path=/data/mine.csv
python -m asr.prepare corpus=librispeech engine=ray                    # by the cores of a cluster
"""

from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Write the manifests and show the report."""
    import sys
    from pathlib import Path

    from asr.corpus.preparation import prepare
    from asr.corpus.report import render
    from asr.wiring.build import build

    if config.inputs:
        raise ValueError(
            f"asr.prepare takes options only, not {config.inputs[0]!r}: name a corpus with "
            "corpus=, its folder with corpus.root=, a table with corpus=table corpus.path="
        )
    trusted = list(config.trusted_targets)
    corpus, engine = (build(n, trusted=trusted) for n in (config.corpus.source, config.engine))
    folder = Path(config.folder) / config.corpus.name
    report = prepare(corpus, folder, engine, sample_rate=config.sample_rate, **config.text)
    sys.stdout.write(render(report))


if __name__ == "__main__":
    run_command("prepare", main)

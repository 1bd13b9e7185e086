"""python -m asr.compare: runs on the same test set -> what differs, and whether it is chance.

python -m asr.compare runs/a runs/b                        # the terminal, and runs/b/against-a.html
python -m asr.compare runs/a runs/b runs/c decoders=[greedy] format=[terminal,html,markdown]
python -m asr.compare runs/a/evaluation/an4-test runs/a/evaluation/an4-test-beam
"""

from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Compare each test set and decoder that all inputs have."""
    from functools import partial
    from pathlib import Path

    from rich.console import Console

    from asr.reporting.comparison_page import comparison_page
    from asr.reporting.comparison_text import check_formats, markdown, output_path, show
    from asr.reporting.page import write_whole
    from asr.scoring.comparison import compare
    from asr.scoring.evaluation import common_keys, open_sources, read_group

    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    formats = check_formats(config.format)
    sources = open_sources([Path(path) for path in config.inputs])
    keys, missing = common_keys(sources, config.test_sets, config.decoders)
    comparisons = [
        compare(read_group(sources, key), samples=config.samples, seed=config.seed) for key in keys
    ]
    if "terminal" in formats:
        for comparison in comparisons:
            show(comparison, console, config.examples)
    for line in missing:
        console.print(f"not compared: {line}")
    for kind, suffix, content in (
        ("html", ".html", comparison_page),
        ("markdown", ".md", partial(markdown, examples=config.examples)),
    ):
        if kind in formats:
            path = output_path(config.output, sources, suffix)
            write_whole(path, content(comparisons))
            console.print(f"written to {path}")


if __name__ == "__main__":
    run_command("compare", main)

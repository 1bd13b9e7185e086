"""python -m asr.lm: text -> an n-gram language model (ARPA), and how well it knows other text.

python -m asr.lm text=data/an4/train.jsonl order=3                     # or text=[a.txt,b.txt.gz]
python -m asr.lm text=books.txt.gz order=4 prune=[0,0,1] output=data/lm/books.arpa.gz
python -m asr.lm published=librispeech-3gram-pruned-1e-7 case=upper perplexity=test.txt
python -m asr.lm arpa=lm.arpa.gz perplexity=test.txt
"""

from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Estimate, fetch or open a model, and measure it."""
    import sys
    from pathlib import Path

    from asr.language_model.arpa import write_arpa
    from asr.language_model.counts import count_text
    from asr.language_model.estimate import estimate
    from asr.language_model.ngram import NGram
    from asr.language_model.published import fetch
    from asr.language_model.sentences import Units, file_list, read_sentences
    from asr.language_model.summary import next_lines, perplexity_lines, size_line, summary_lines

    def say(lines: list[str]) -> None:
        sys.stdout.write("".join(f"{line}\n" for line in lines))

    if config.inputs or sum(config[x] is not None for x in ("text", "published", "arpa")) != 1:
        raise ValueError("give one of text=FILE, published=NAME and arpa=FILE, and options only")
    tests = file_list(config.perplexity)
    given = [*file_list(config.text), *tests, *filter(None, [config.vocabulary])]
    if Path(config.output).resolve() in {Path(file).resolve() for file in given}:
        raise ValueError(f"output={config.output} would replace what is read; name another file")
    units = Units(config.unit, config.normalise, config.case, config.punctuation)
    if config.text is not None:
        counts = count_text(
            file_list(config.text), config.order, units,
            vocabulary=None if config.vocabulary is None else Path(config.vocabulary),
            min_count=config.min_count,
        )  # fmt: skip
        estimated = estimate(
            counts, prune=config.prune, entropy_threshold=config.entropy_threshold,
            discount_fallback=config.discount_fallback,
        )  # fmt: skip
        say(summary_lines(counts, estimated))
        path = Path(config.output)
        write_arpa(estimated.arpa, path)
        model = NGram.from_arpa(estimated.arpa) if tests else None
    else:
        path = Path(config.arpa or fetch(config.published, Path(config.folder)))
        model = NGram.open(path)
    for file in tests:
        assert model is not None
        say(perplexity_lines(file, model.perplexity(read_sentences([file], units))))
    say([size_line(path), *next_lines(path, config.unit)])


if __name__ == "__main__":
    run_command("lm", main)

"""python -m asr.report: a run's evaluations -> one HTML page: errors, words, sound, spectrograms.

python -m asr.report runs/a                       # all that was evaluated: runs/a/report.html
python -m asr.report runs/a decoders=[beam] exhibits=200
python -m asr.report runs/a runs/b                # side by side: runs/b/report-against-a.html
"""

from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Gather what is known of each test set, and write the page."""
    if not config.inputs:
        raise ValueError("name a run: python -m asr.report runs/a")
    for name in ("exhibits", "rows"):
        if config[name] < 0:
            raise ValueError(f"{name}={config[name]} must be at least 0")

    from functools import cache
    from pathlib import Path

    from asr.checking.sound import Sound, measure
    from asr.core.checkpoint import load_checkpoint
    from asr.core.progress import say
    from asr.corpus.manifest import Manifest
    from asr.recognizer.recognizer import Recognizer
    from asr.reporting.gather import Means, gather, output_path, sizes
    from asr.reporting.page import write_whole
    from asr.reporting.report_page import kaldi_lines, report_page
    from asr.scoring.comparison import compare
    from asr.scoring.evaluation import open_sources, read_by_test_set
    from asr.wiring.build import build
    from asr.wiring.recognizer import choose_device, load_recognizer

    trusted, manifests = list(config.trusted_targets), list(config.manifest or [])
    device = choose_device(config.device, config.threads)
    engine = build(config.engine, trusted=trusted)
    sources = open_sources([Path(path) for path in config.inputs])
    output = output_path(config.output, sources)

    def sound(manifest: Manifest) -> list[Sound | str]:
        title = f"measuring {manifest.name}"
        return list(engine.map(measure, manifest, title, len(manifest), chunk=16))

    @cache
    def recognizer(path: Path) -> Recognizer:
        found, warning = load_recognizer(load_checkpoint(path), path, trusted)
        if warning:
            say(f"warning: {warning}")
        return found.to(device)

    means = Means(sound, recognizer, manifests, config.exhibits, config.max_seconds)
    chapters = []
    for group in read_by_test_set(sources, config.test_sets, config.decoders):
        comparison = compare(group, samples=config.samples, seed=config.seed)
        for line in kaldi_lines(comparison):
            say(line)
        chapters.append(gather(comparison, means))
        for note in chapters[-1].notes:
            say(f"  {note}")
    first, *others = [source.name for source in sources]
    title = f"{', '.join(others)} against {first}" if others else f"Report of {first}"
    write_whole(output, report_page(title, chapters, config.rows))
    say(f"written to {output}: {sizes(output, chapters)}")


if __name__ == "__main__":
    run_command("report", main)

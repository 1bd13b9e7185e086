"""python -m asr.evaluate: a checkpoint x any manifests -> WER, CER, hypotheses.

python -m asr.evaluate                                   # the latest run, its corpus's test set
python -m asr.evaluate run=spoken-1a2b3c4d
python -m asr.evaluate checkpoint=best.pt data/an4/test.jsonl mine.jsonl
"""

from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Score each manifest and write what was heard."""
    from pathlib import Path

    from rich.console import Console

    from asr.core.progress import progress_bar
    from asr.corpus.manifest import read_manifest
    from asr.data.dataset import SpeechDataset
    from asr.scoring.output import report_folder, report_lines, write_report
    from asr.scoring.score import score
    from asr.wiring.build import build_decoders, choose_device, open_recognizer, plain_config
    from asr.wiring.run import test_set

    say = Console(soft_wrap=True, highlight=False, markup=False).print
    device = choose_device(config.device, config.threads)
    recognizer, checkpoint, path, warning = open_recognizer(config, device)
    if warning:
        say(f"warning: {warning}")
    decoders = build_decoders(config, recognizer.tokenizer)
    manifests = config.inputs or config.manifest or test_set(checkpoint["config"])
    say(f"checkpoint {path}")
    folders: set[Path] = set()
    for file in manifests:
        dataset = SpeechDataset(
            read_manifest(file), recognizer.tokenizer, recognizer.features.sample_rate,
            loss_optional=True,
        )  # fmt: skip
        with progress_bar(f"decoding {dataset.manifest.name}", len(dataset)) as advance:
            reports = score(
                recognizer,
                decoders,
                dataset,
                device=device,
                batch_seconds=config.batch_seconds,
                max_utterances=config.max_utterances,
                workers=config.workers,
                progress=lambda count, _: advance(count),
            )
        for line in report_lines(list(reports.values())):
            say(line)
        for report in reports.values():
            folder = report_folder(report, Path(config.output or path.parent / "evaluation"))
            while folder in folders:  # two manifests of one name
                folder = folder.with_name(folder.name + "-again")
            folders.add(folder)
            own = {} if report.decoder == "greedy" else {"options": plain_config(config.decoder)}
            write_report(report, folder, checkpoint=str(path), **own)
            say(f"  written to {folder}/")


if __name__ == "__main__":
    run_command("evaluate", main)

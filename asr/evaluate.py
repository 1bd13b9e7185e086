"""python -m asr.evaluate: a checkpoint x any manifests -> WER, CER, hypotheses.

python -m asr.evaluate                                   # the latest run, its corpus's test set
python -m asr.evaluate run=spoken-1a2b3c4d
python -m asr.evaluate checkpoint=best.pt data/an4/test.jsonl mine.jsonl
torchrun --nproc-per-node=8 -m asr.evaluate run=librispeech             # spread over 8 processes
"""

from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Score each manifest and write what was heard."""
    from pathlib import Path

    from rich.console import Console

    from asr.core.distributed import is_main, process_group
    from asr.core.progress import progress_bar
    from asr.corpus.manifest import read_manifest
    from asr.data.dataset import SpeechDataset
    from asr.scoring.output import report_lines, write_reports
    from asr.scoring.score import score
    from asr.wiring.build import plain_config
    from asr.wiring.recognizer import build_decoders, choose_device, open_recognizer
    from asr.wiring.run import test_set

    device = choose_device(config.device, config.threads)
    with process_group(device):
        say = Console(soft_wrap=True, highlight=False, markup=False, quiet=not is_main()).print
        recognizer, checkpoint, path, warning = open_recognizer(config, device)
        if warning:
            say(f"warning: {warning}")
        decoders = build_decoders(config, recognizer.tokenizer)
        say(f"checkpoint {path}")
        folders: set[Path] = set()
        for file in config.inputs or config.manifest or test_set(checkpoint["config"]):
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
                    worker_timeout=config.worker_timeout,
                    progress=lambda count, _: advance(count),
                )
            for line in report_lines(list(reports.values())):
                say(line)
            if is_main():
                output = Path(config.output or path.parent / "evaluation")
                options = plain_config(config.decoder)
                for folder in write_reports(
                    reports, output, folders, str(path), options, str(file)
                ):
                    say(f"  written to {folder}/")


if __name__ == "__main__":
    run_command("evaluate", main)

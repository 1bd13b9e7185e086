"""python -m asr.align: audio and its text -> when each word is spoken: CTM, TextGrid, subtitles.

python -m asr.align talk.mp3 text=talk.txt format=[srt,textgrid] output=aligned
python -m asr.align 'a folder' format=[json] output=aligned     # a.wav has its text in a.txt
python -m asr.align data/an4/test.jsonl format=[ctm,png] output=aligned
"""

import sys

from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Align each recording; one that cannot be is named, and the rest is done."""
    from pathlib import Path

    from asr.core.audio import audio_info
    from asr.core.progress import progress_bar
    from asr.corpus.manifest import read_manifest
    from asr.data.dataset import SpeechDataset
    from asr.recognizer.words import TimedText
    from asr.reporting.alignment_picture import draw_alignment
    from asr.reporting.timed_text import Delivery
    from asr.scoring.known_text import align_dataset, align_file, spoken_words, text_of
    from asr.scoring.transcript import audio_files, pieces
    from asr.wiring.recognizer import choose_device, open_recognizer

    if not config.inputs:
        raise ValueError("name audio files, folders or manifests: python -m asr.align a.wav")
    deliver = Delivery(config.format, config.output, others=["png"])
    device = choose_device(config.device, config.threads)
    recognizer, _, _, warning = open_recognizer(config, device)
    left_out: list[str] = []

    def say(line: str) -> None:
        sys.stderr.write(line + "\n")

    def leave_out(name: str, reason: str) -> None:
        left_out.append(name)
        say(f"error: {name}: {reason}")

    def done(timed: TimedText) -> None:
        deliver(timed)
        if "png" in config.format:
            draw_alignment(recognizer, timed, Path(config.output) / f"{timed.name}.png")
        if timed.confidence < config.min_confidence:
            say(f"warning: {timed.name}: confidence {timed.confidence:.2f}; is this its text?")

    if warning:
        say(f"warning: {warning}")
    for path in [p for p in map(Path, config.inputs) if p.suffix == ".jsonl"]:
        rate = recognizer.features.sample_rate
        dataset = SpeechDataset(read_manifest(path), recognizer.tokenizer, rate, loss_optional=True)
        with progress_bar(f"aligning {dataset.manifest.name}", len(dataset)) as advance:
            for timed in align_dataset(
                recognizer, dataset, batch_seconds=config.batch_size * config.max_seconds,
                left_out=leave_out, progress=advance,
            ):  # fmt: skip
                done(timed)
    audio = audio_files([p for p in map(Path, config.inputs) if p.suffix != ".jsonl"])
    for name, file in audio.items():
        try:
            text = text_of(file, config.text, config.words)
            words = spoken_words(text, case=config.case, punctuation=config.punctuation)
            with progress_bar(f"hearing {name}", audio_info(file, config.raw).duration) as advance:
                batches = pieces(
                    recognizer, file, max_seconds=config.max_seconds,
                    batch_size=config.batch_size, raw=config.raw, heard=advance,
                )  # fmt: skip
                done(align_file(recognizer, name, file, words, batches, raw=config.raw))
        except ValueError as error:
            leave_out(name, str(error))
    if left_out:
        raise ValueError(f"{len(left_out)} could not be aligned; see above")


if __name__ == "__main__":
    run_command("align", main)

"""python -m asr.transcribe: any audio files or folders -> text.

python -m asr.transcribe interview.mp3 'my recordings'   # the latest run's best checkpoint
python -m asr.transcribe run=an4 a.wav output=texts
"""

import sys

from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Print or write the text of each file; one that cannot be read is named, the rest is done."""
    from pathlib import Path

    from asr.core.audio import audio_info
    from asr.core.progress import progress_bar
    from asr.scoring.transcript import audio_files, transcribe
    from asr.wiring.build import build, choose_device, open_recognizer

    if not config.inputs:
        raise ValueError("name the audio files or folders: python -m asr.transcribe a.wav folder")
    files = audio_files([Path(p) for p in config.inputs])
    device = choose_device(config.device, config.threads)
    recognizer, _, _, warning = open_recognizer(config, device)
    if warning:
        sys.stderr.write(f"warning: {warning}\n")
    decoder = build(config.decoder, recognizer.tokenizer, trusted=list(config.trusted_targets))
    output = None if config.output is None else Path(config.output)
    failed = 0
    for name, file in files.items():
        try:
            texts = []
            with progress_bar(name, audio_info(file, config.raw).duration) as advance:
                done = 0.0
                for piece in transcribe(
                    recognizer, decoder, file, max_seconds=config.max_seconds,
                    batch_size=config.batch_size, raw=config.raw,
                ):  # fmt: skip
                    texts.append(piece.text)
                    advance(piece.offset - done)
                    done = piece.offset
        except ValueError as error:
            sys.stderr.write(f"error: {error}\n")
            failed += 1
            continue
        text = " ".join(filter(None, texts))
        if output is None:
            sys.stdout.write((f"{file}\t" if len(files) > 1 else "") + text + "\n")
        else:
            (output / name).parent.mkdir(parents=True, exist_ok=True)
            (output / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
    if failed:
        raise ValueError(f"{failed} of {len(files)} files could not be transcribed; see above")


if __name__ == "__main__":
    run_command("transcribe", main)

"""python -m asr.transcribe: any audio files or folders -> text, times and confidences.

python -m asr.transcribe interview.mp3 'my recordings'   # the latest run's best checkpoint
python -m asr.transcribe run=an4 a.wav format=[text,srt,json] output=texts
python -m asr.transcribe talk.mp3 decoder=beam decoder.lm=lm.arpa 'decoder.hotwords={kubernetes: 6}'
"""

import sys

from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Print or write the words of each file; one that cannot be read is named, the rest is done."""
    from pathlib import Path

    from asr.core.audio import audio_info
    from asr.core.progress import progress_bar
    from asr.recognizer.words import TimedText, Word
    from asr.reporting.timed_text import Delivery
    from asr.scoring.transcript import audio_files, transcribe
    from asr.wiring.build import build
    from asr.wiring.recognizer import choose_device, open_recognizer

    if not config.inputs:
        raise ValueError("name the audio files or folders: python -m asr.transcribe a.wav folder")
    deliver = Delivery(config.format, config.output)
    files = audio_files([Path(p) for p in config.inputs])
    device = choose_device(config.device, config.threads)
    recognizer, _, _, warning = open_recognizer(config, device)
    if warning:
        sys.stderr.write(f"warning: {warning}\n")
    decoder = build(config.decoder, recognizer.tokenizer, trusted=list(config.trusted_targets))
    failed = 0
    for name, file in files.items():
        words: list[Word] = []
        done = 0.0
        try:
            with progress_bar(name, audio_info(file, config.raw).duration) as advance:
                for heard in transcribe(
                    recognizer, decoder, file, max_seconds=config.max_seconds,
                    batch_size=config.batch_size, raw=config.raw,
                ):  # fmt: skip
                    words += heard.words
                    advance(heard.end - done)
                    done = heard.end
        except ValueError as error:
            sys.stderr.write(f"error: {error}\n")
            failed += 1
            continue
        if config.output is None and len(files) > 1 and config.format == ["text"]:
            sys.stdout.write(f"{file}\t")
        deliver(TimedText(name, str(file), 0.0, done, tuple(words), config.raw))
    if failed:
        raise ValueError(f"{failed} of {len(files)} files could not be transcribed; see above")


if __name__ == "__main__":
    run_command("transcribe", main)

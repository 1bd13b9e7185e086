"""python -m asr.serve: a trained recogniser as a page to speak to, and as a JSON API.

python -m asr.serve                                      # the latest run's best checkpoint
python -m asr.serve run=an4 data/an4/dev.jsonl port=8080 # with examples to click on
python -m asr.serve checkpoint=runs/an4/best.pt decoder=beam decoder.lm=data/lm/an4.arpa.gz
"""

import sys

from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Load the recogniser, then serve until SIGINT or SIGTERM."""
    from functools import partial
    from importlib.util import find_spec
    from pathlib import Path

    from asr.scoring.transcript import transcribe
    from asr.wiring.build import build
    from asr.wiring.recognizer import choose_device, open_recognizer

    needed = ("fastapi", "uvicorn", "python_multipart", "av")
    if missing := [name for name in needed if find_spec(name) is None]:
        raise ValueError(f"{', '.join(missing)} must be installed: pip install -e '.[serve]'")
    from asr.web.api import Site
    from asr.web.app import create_app
    from asr.web.desk import Desk
    from asr.web.examples import open_examples
    from asr.web.reception import Limits
    from asr.web.server import listen, run, welcome

    listening = listen(config.host, config.port)
    examples = open_examples([Path(p) for p in config.inputs], config.max_examples)
    device = choose_device(config.device, config.threads)
    recognizer, _, path, warning = open_recognizer(config, device)
    if warning:
        sys.stderr.write(f"warning: {warning}\n")
    decoder = build(config.decoder, recognizer.tokenizer, trusted=list(config.trusted_targets))
    recognise = partial(
        transcribe, recognizer, decoder,
        max_seconds=config.max_seconds, batch_size=config.batch_size,
    )  # fmt: skip
    limits = Limits(config.max_megabytes, config.max_audio_seconds, config.upload_seconds)
    desk = Desk(recognise, max_requests=config.max_requests)
    desk.try_out()
    model = f"{path.parent.name}/{path.name}"
    site = Site(desk, limits, examples, model, recognizer.num_parameters)
    sys.stdout.write(f"model     {path}: {site.parameters:,} parameters on {device}\n")
    sys.stdout.write("\n".join(welcome(listening)) + "\n")
    sys.stdout.flush()
    run(create_app(site), listening, shutdown_seconds=config.shutdown_seconds)


if __name__ == "__main__":
    run_command("serve", main)

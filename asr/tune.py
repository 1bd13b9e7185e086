"""python -m asr.tune: a checkpoint x a development set -> lm_weight, word_score, beam.

python -m asr.tune run=an4 decoder.lm=data/lm/an4.arpa          # on the run's own development set
python -m asr.tune run=an4 dev.jsonl decoder.lm=lm.arpa trials=100 search.beam_size=[10,200]
python -m asr.tune run=an4 decoder.lm=lm.arpa search.beam_size=null search.beam_threshold=null
"""

from typing import Any

from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Search the decoder's weights on cached log-probabilities; write them with a picture."""
    from pathlib import Path

    from rich.console import Console

    from asr.core.progress import progress_bar
    from asr.data.dataset import SpeechDataset
    from asr.reporting.tuned_decoder import check_output, edge_lines, tuning_lines, write_tuned
    from asr.scoring.posterior_cache import cached_log_probs
    from asr.scoring.tuning import search_space, tune
    from asr.training.assemble import join_manifests
    from asr.wiring.build import plain_config
    from asr.wiring.recognizer import build_decoders, choose_device, open_recognizer
    from asr.wiring.run import check_no_test_set

    say = Console(soft_wrap=True, highlight=False, markup=False).print
    device = choose_device(config.device, config.threads)
    recognizer, checkpoint, path, warning = open_recognizer(config, device)
    trained, node = checkpoint["config"], config.decoder
    output = check_output(Path(config.output or path.parent / "decoder" / "tuned.yaml"))
    manifests = list(config.inputs or config.manifest or trained["data"]["dev"])
    for line in filter(None, [warning, *check_no_test_set(manifests, trained, config.force)]):
        say(f"warning: {line}")
    dev, decoders = join_manifests(manifests), build_decoders(config, recognizer.tokenizer)
    decoder: Any = list(decoders.values())[-1]
    space = search_space(decoder, node, plain_config(config.search))
    rate = recognizer.features.sample_rate
    dataset = SpeechDataset(dev, recognizer.tokenizer, rate, loss_optional=True)
    say(f"checkpoint {path}")
    with progress_bar(f"recognising {dev.name}", len(dev)) as advance:
        log_probs = cached_log_probs(
            recognizer, dataset, path, path.parent / "posteriors", workers=config.workers,
            batch_seconds=config.batch_seconds, max_utterances=config.max_utterances,
            progress=advance,
        )  # fmt: skip
    with progress_bar("searching", config.trials) as advance:
        tuning = tune(
            lambda options: decoder.with_options(**options), decoders["greedy"], log_probs, dev,
            start=node, space=space, trials=config.trials, seed=config.seed, progress=advance,
        )  # fmt: skip
    if len(tuning.trials) < config.trials:
        say(f"stopped after {len(tuning.trials)} of {config.trials} trials")
    write_tuned(tuning, plain_config(node), output, dev=dev.name, checkpoint=path)
    for line in [*tuning_lines(tuning), *edge_lines(tuning, space)]:
        say(line)
    say(f"{output} is written; next:\n  python -m asr.evaluate checkpoint={path} decoder={output}")


if __name__ == "__main__":
    run_command("tune", main)

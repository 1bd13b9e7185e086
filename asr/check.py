"""python -m asr.check: manifests -> what is wrong with them, before a run is paid for.

python -m asr.check                                                 # the embedded corpus
python -m asr.check corpus=an4 model=wav2letter
python -m asr.check data/mine/train.jsonl data/mine/dev.jsonl data/mine/test.jsonl write=clean
python -m asr.check run=mine 'manifest=[new.jsonl]' output=new.json # for a trained model
"""

import sys

from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Read everything once, say what is wrong, and write what is right."""
    from pathlib import Path

    from rich.console import Console

    from asr.checking.assemble import assemble
    from asr.checking.facts import gather
    from asr.checking.judge import Limits, judge
    from asr.checking.kinds import check_kinds
    from asr.checking.output import (
        check_paths,
        report_lines,
        summary,
        write_cleaned,
        write_summary,
    )
    from asr.wiring.build import build, plain_config

    say = Console(soft_wrap=True, highlight=False, markup=False).print
    limits, leave_out = Limits(**config.limits), check_kinds(config.leave_out)
    engine = build(config.engine, trusted=list(config.trusted_targets))
    splits, target = assemble(config, say)
    folder = None if config.write is None else Path(config.write)
    output = check_paths(config.output, folder, splits)  # before an hour is spent
    findings = judge(gather(splits, target, engine), limits, leave_out)
    for line in report_lines(findings, config.examples):
        say(line)
    if folder is not None:
        for line in write_cleaned(findings, folder):
            say(line)
    if output is not None:
        about = {"leave_out": list(leave_out), "limits": plain_config(config.limits)}
        write_summary(output, summary(findings, about))
        say(f"{output}: every finding")
    if config.strict and findings.left_out():
        sys.exit(1)


if __name__ == "__main__":
    run_command("check", main)

"""python -m asr.pack: a manifest's audio -> tar shards, for network disks and object stores.

python -m asr.pack manifest=data/mine/train.jsonl output=/net/mine
python -m asr.pack manifest=data/mine/dev.jsonl output=/net/mine shard_megabytes=100
python -m asr.pack manifest=web.jsonl output=shards root_only=/data/web skip_unreadable=true
python -m asr.train data.train=[/net/mine/train.jsonl] 'data.dev=[data/mine/dev.jsonl]'
"""

from omegaconf import DictConfig

from asr.wiring.command import run_command


def main(config: DictConfig) -> None:
    """Pack, and say what there is now."""
    from pathlib import Path

    from asr.core.progress import say
    from asr.corpus.manifest import read_manifest
    from asr.corpus.packing import pack

    if config.inputs or not (config.manifest and config.output):
        raise ValueError("give manifest=FILE.jsonl, output=FOLDER, and options only")
    if config.shard_megabytes <= 0 or config.workers < 1:
        raise ValueError(
            f"shard_megabytes={config.shard_megabytes} must be > 0, and workers={config.workers} "
            "at least 1"
        )
    packed = pack(
        read_manifest(config.manifest, config.root_only),
        Path(config.manifest).stem,
        Path(config.output),
        shard_bytes=round(config.shard_megabytes * 1e6),
        skip=config.skip_unreadable,
        workers=config.workers,
    )
    for reason in packed.unreadable.values():
        say(f"left out: {reason}")
    if packed.unreadable:
        say(f"{len(packed.unreadable)} audio files could not be read, and were left out")
    say(
        f"{packed.path}: {packed.num_utterances:,} utterances in {packed.num_files:,} files, "
        f"{len(packed.shards):,} shards, {packed.num_bytes / 1e6:,.1f} MB"
    )


if __name__ == "__main__":
    run_command("pack", main)

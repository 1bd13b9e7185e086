"""The typed skeleton of `configs/`: what is typed wrong is caught before anything starts.

Groups (model, features, ...) are plain nodes here: their schema is the constructor they name.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class DataConfig:
    """What is trained on, and how it is cut into batches."""

    train: list[str] = MISSING
    weights: list[float] | None = None
    dev: list[str] = MISSING
    test: list[str] = MISSING
    min_seconds: float = MISSING
    max_seconds: float = MISSING
    batch_seconds: float = MISSING
    max_utterances: int = MISSING
    sortagrad_epochs: int = MISSING
    accumulate: Any = MISSING
    max_infeasible: float = MISSING
    max_unreadable: float = MISSING
    root_only: str | None = None
    resample: bool = MISSING
    workers: int = MISSING
    worker_timeout: float = MISSING


@dataclass
class TrainerConfig:
    """How long and how carefully."""

    epochs: int = MISSING
    precision: str = MISSING
    gradient_clip: float = MISSING
    average_decay: float = MISSING
    validate_every: int = MISSING
    patience: int = MISSING
    on_non_finite: str = MISSING
    max_skipped: int = MISSING
    stuck_after: int = MISSING
    log_every: int = MISSING
    checkpoint_minutes: float = MISSING
    max_minutes: float = MISSING
    keep_last: int = MISSING
    keep_best: int = MISSING
    keep_every: int = MISSING
    num_pairs: int = MISSING
    num_examples: int = MISSING
    num_pictures: int = MISSING


@dataclass
class TrainConfig:
    """configs/train.yaml."""

    run: str | None = None
    runs: str = "runs"
    seed: int = MISSING
    device: str = MISSING
    threads: int | None = None
    init_from: str | None = None
    trusted_targets: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    corpus: Any = MISSING
    data: DataConfig = field(default_factory=DataConfig)
    tokenizer: Any = MISSING
    augment: dict[str, Any] = field(default_factory=dict)
    features: Any = MISSING
    spec_augment: Any = MISSING
    model: Any = MISSING
    objective: Any = MISSING
    optimizer: Any = MISSING
    schedule: Any = MISSING
    decoder: Any = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


@dataclass
class CheckpointConfig:
    """What every command that uses a trained recogniser takes."""

    checkpoint: str | None = None
    run: str | None = None
    runs: str = "runs"
    output: str | None = None
    device: str = MISSING
    threads: int | None = None
    trusted_targets: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)


@dataclass
class EvaluateConfig(CheckpointConfig):
    """configs/evaluate.yaml."""

    decoder: Any = MISSING
    manifest: list[str] | None = None
    batch_seconds: float = MISSING
    max_utterances: int = MISSING
    workers: int = MISSING
    worker_timeout: float = MISSING


@dataclass
class CompareConfig:
    """configs/compare.yaml."""

    test_sets: list[str] | None = None
    decoders: list[str] | None = None
    format: list[str] = MISSING
    output: str | None = None
    examples: int = MISSING
    samples: int = MISSING
    seed: int = MISSING
    inputs: list[str] = field(default_factory=list)


@dataclass
class ReportConfig:
    """configs/report.yaml."""

    test_sets: list[str] | None = None
    decoders: list[str] | None = None
    manifest: list[str] | None = None
    output: str | None = None
    exhibits: int = MISSING
    max_seconds: float = MISSING
    rows: int = MISSING
    samples: int = MISSING
    seed: int = MISSING
    device: str = MISSING
    threads: int | None = None
    engine: Any = MISSING
    trusted_targets: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)


@dataclass
class TuneConfig(CheckpointConfig):
    """configs/tune.yaml."""

    decoder: Any = MISSING
    manifest: list[str] | None = None
    force: bool = MISSING
    search: dict[str, Any] = field(default_factory=dict)
    trials: int = MISSING
    seed: int = MISSING
    batch_seconds: float = MISSING
    max_utterances: int = MISSING
    workers: int = MISSING


@dataclass
class TranscribeConfig(CheckpointConfig):
    """configs/transcribe.yaml."""

    decoder: Any = MISSING
    format: list[str] = MISSING
    raw: str | None = None
    max_seconds: float = MISSING
    batch_size: int = MISSING


@dataclass
class ServeConfig:
    """configs/serve.yaml."""

    checkpoint: str | None = None
    run: str | None = None
    runs: str = "runs"
    decoder: Any = MISSING
    host: str = MISSING
    port: int = MISSING
    max_examples: int = MISSING
    max_megabytes: float = MISSING
    max_audio_seconds: float = MISSING
    max_requests: int = MISSING
    upload_seconds: float = MISSING
    shutdown_seconds: float = MISSING
    device: str = MISSING
    threads: int | None = None
    max_seconds: float = MISSING
    batch_size: int = MISSING
    trusted_targets: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)


@dataclass
class AlignConfig(CheckpointConfig):
    """configs/align.yaml."""

    text: str | None = None
    words: str | None = None
    format: list[str] = MISSING
    case: str = MISSING
    punctuation: str = MISSING
    min_confidence: float = MISSING
    raw: str | None = None
    max_seconds: float = MISSING
    batch_size: int = MISSING


@dataclass
class LimitsConfig:
    """From where on `asr.check` finds something wrong."""

    duration_seconds: float = MISSING
    silence_db: float = MISSING
    contrast_db: float = MISSING
    clipped_share: float = MISSING
    dc_offset: float = MISSING
    slowest: float = MISSING
    fastest: float = MISSING
    deviations: float = MISSING
    rare_count: int = MISSING


@dataclass
class CheckConfig:
    """configs/check.yaml."""

    manifest: list[str] | None = None
    train: list[str] | None = None
    run: str | None = None
    checkpoint: str | None = None
    runs: str = "runs"
    output: str | None = None
    write: str | None = None
    leave_out: list[str] = MISSING
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    examples: int = MISSING
    strict: bool = MISSING
    trusted_targets: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    corpus: Any = MISSING
    tokenizer: Any = MISSING
    features: Any = MISSING
    model: Any = MISSING
    engine: Any = MISSING


@dataclass
class PosteriorsConfig:
    """What an array of posteriors holds."""

    kind: str | None = None
    layout: str | None = None
    blank: Any = None
    epsilon: float = MISSING
    array: str | None = None
    lengths: str | None = None


@dataclass
class DecodeConfig:
    """configs/decode.yaml."""

    posteriors: PosteriorsConfig = field(default_factory=PosteriorsConfig)
    tokens: str | None = None
    space: str | None = None
    references: str | None = None
    output: str | None = None
    batch_size: int = MISSING
    trusted_targets: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    decoder: Any = MISSING


@dataclass
class LmConfig:
    """configs/lm.yaml."""

    text: Any = None
    published: str | None = None
    arpa: str | None = None
    perplexity: Any = None
    output: str = MISSING
    folder: str = MISSING
    order: int = MISSING
    unit: str = MISSING
    normalise: bool = MISSING
    case: str = MISSING
    punctuation: str = MISSING
    vocabulary: str | None = None
    min_count: int = MISSING
    prune: list[int] = MISSING
    entropy_threshold: float = MISSING
    discount_fallback: list[float] | None = None
    inputs: list[str] = field(default_factory=list)


@dataclass
class TextConfig:
    """How transcripts are normalised."""

    case: str = MISSING
    punctuation: str = MISSING


@dataclass
class PrepareConfig:
    """configs/prepare.yaml."""

    folder: str = MISSING
    sample_rate: int = MISSING
    corpus: Any = MISSING
    text: TextConfig = field(default_factory=TextConfig)
    engine: Any = MISSING
    trusted_targets: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)


@dataclass
class PackConfig:
    """configs/pack.yaml."""

    manifest: str | None = None
    output: str | None = None
    shard_megabytes: float = MISSING
    skip_unreadable: bool = MISSING
    root_only: str | None = None
    workers: int = MISSING
    inputs: list[str] = field(default_factory=list)


def register_schemas() -> None:
    """Make the skeletons known to Hydra, under the names that the YAMLs' defaults lists use."""
    store = ConfigStore.instance()
    store.store(name="train_schema", node=TrainConfig)
    store.store(name="prepare_schema", node=PrepareConfig)
    store.store(name="evaluate_schema", node=EvaluateConfig)
    store.store(name="compare_schema", node=CompareConfig)
    store.store(name="report_schema", node=ReportConfig)
    store.store(name="tune_schema", node=TuneConfig)
    store.store(name="transcribe_schema", node=TranscribeConfig)
    store.store(name="serve_schema", node=ServeConfig)
    store.store(name="align_schema", node=AlignConfig)
    store.store(name="check_schema", node=CheckConfig)
    store.store(name="decode_schema", node=DecodeConfig)
    store.store(name="lm_schema", node=LmConfig)
    store.store(name="pack_schema", node=PackConfig)

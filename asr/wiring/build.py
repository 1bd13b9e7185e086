"""From plain configuration to objects: the one caller of Hydra's `instantiate`.

Only targets of the shipped configuration are built, and those that the command line names in
`trusted_targets`. A checkpoint cannot name its own. Torch is not needed here, for it takes seconds.
"""

import re
from collections.abc import Container, Sequence
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from asr.wiring.command import CONFIGS


def build(node: Any, *positional: Any, trusted: Sequence[str] = (), **keyword: Any) -> Any:
    """Build what a configuration node's `_target_` names.

    Args:
        node: a mapping with `_target_` and the constructor's tunables.
        positional, keyword: what comes from the run.
        trusted: targets to accept beside the shipped ones.

    Raises:
        ValueError: an unknown target (refused before any import), or arguments that it refuses.
    """
    plain = plain_config(node)
    if not isinstance(plain, dict) or "_target_" not in plain:
        raise ValueError(f"{plain!r:.80} names no _target_, so that nothing can be built from it")
    check_targets(plain, shipped_targets() | set(trusted))
    try:
        return instantiate(plain, *positional, **keyword, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, ValueError):
            raise cause from None
        raise ValueError(f"{plain.get('_target_')}: {cause}") from error


def build_all(nodes: Any, *, trusted: Sequence[str] = ()) -> dict[str, Any]:
    """Build each entry of a mapping of nodes; one that was set to null is left out."""
    plain = plain_config(nodes) or {}
    return {name: build(node, trusted=trusted) for name, node in plain.items() if node}


def plain_config(node: Any) -> Any:
    """Dicts, lists, strings and numbers, with interpolations resolved."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def shipped_targets() -> set[str]:
    """Every `_target_` that a YAML of `configs/` names, and the classes of those that `train`."""
    pattern = re.compile(r"\b_target_:\s*([\w.]+)")
    files = CONFIGS.glob("*/*.yaml")
    named = {t for path in files for t in pattern.findall(path.read_text(encoding="utf-8"))}
    # A checkpoint rebuilds by its class what `Class.train` made.
    return named | {t.removesuffix(".train") for t in named}


def check_targets(plain: Any, allowed: Container[str]) -> None:
    """Refuse what `instantiate` would import beyond what is allowed.

    Raises:
        ValueError: a target is not allowed; or a text is an interpolation, which `instantiate`
            would resolve, perhaps to a target.
    """
    if isinstance(plain, dict):
        target = plain.get("_target_", "")
        if "_target_" in plain and not (isinstance(target, str) and target in allowed):
            raise ValueError(
                f"the target {target!r:.200} is not part of the shipped configuration, so it was "
                f"not imported. If it is yours: trusted_targets=[{target!s:.200}]"
            )
        for pair in plain.items():
            check_targets(pair, allowed)
    elif isinstance(plain, list | tuple):  # of a tuple, too, Hydra builds what is in it
        for value in plain:
            check_targets(value, allowed)
    elif isinstance(plain, str) and "${" in plain:
        raise ValueError(f"{plain!r:.80} holds an interpolation; write what it stands for")

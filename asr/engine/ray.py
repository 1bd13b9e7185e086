"""A Ray cluster: the cores of many machines. https://docs.ray.io

    pip install -e '.[ray]'

All machines have the program, and the data under the same paths.
"""

import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from asr.engine.base import AHEAD, Engine, Item, Result, each, in_order


class Ray(Engine):
    """One task for each part, each on a core; what is lost with a machine is done again.

    address: "HOST:PORT" of a running cluster; None: what RAY_ADDRESS says, or the cluster of this
    machine, or one that is begun here and ends with the program.
    """

    def __init__(self, *, address: str | None) -> None:
        if find_spec("ray") is None:
            raise ValueError(
                "engine=ray needs Ray, which is not installed: pip install -e '.[ray]'"
            )
        self.address = address

    def run(
        self, function: Callable[[Item], Result], parts: Iterable[list[Item]]
    ) -> Iterator[list[Result]]:
        """Connect, once, and hand out the parts."""
        import ray

        cluster: Any = ray  # whose types are of little help
        if not cluster.is_initialized():
            self._connect(cluster)
        task = cluster.remote(_work)
        shared, folder = ray.put(function), str(Path.cwd())
        ahead = AHEAD * int(cluster.cluster_resources().get("CPU", 1))
        try:
            for done in in_order(lambda part: task.remote(folder, shared, part), parts, ahead):
                yield ray.get(done)
        except ray.exceptions.RayTaskError as error:
            ray.shutdown()
            raise error.cause from None
        except ray.exceptions.RayError as error:
            ray.shutdown()
            raise ValueError(f"engine=ray lost a worker, again and again: {error}") from None
        except BaseException:  # Ctrl-C, or nobody wants the rest
            ray.shutdown()
            raise

    def _connect(self, ray: Any) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        address = self.address or os.environ.get("RAY_ADDRESS", "")
        try:
            if direct := re.fullmatch(r"([\w.-]+):(\d+)", address):
                # Ray itself would try for minutes.
                socket.create_connection((direct[1], int(direct[2])), timeout=10).close()
            ray.init(self.address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, OverflowError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"engine.address={address}: there is no Ray cluster that answers ({error})"
            ) from None


def _work(folder: str, function: Callable[[Item], Result], part: list[Item]) -> list[Result]:
    os.chdir(folder)  # relative paths mean the same everywhere
    return each(function, part)

"""Several processes as one: who one is among them, sums over all, and what all must agree on.

`torchrun` starts the processes and tells each its rank by the environment; a program that was
started alone is rank 0 of 1, and everything here is free. On CPUs the ranks talk by gloo, on GPUs
by nccl. Every rank must come to every sum and every exchange, in the same order.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn  # imported later, its defaults would hold the group
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

_PATIENCE = 900.0  # seconds
_apart = False
_LOST = ("closed by peer", "reset by peer", "broken pipe", "timed out", "remote process exited")


def rank() -> int:
    """Which of the processes this is: 0 to `world_size() - 1`."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train or score together."""
    return dist.get_world_size() if dist.is_initialized() and not _apart else 1


def is_main() -> bool:
    """Whether this is the process that writes and speaks for all."""
    return rank() == 0


def local_rank() -> int:
    """Which of this machine's processes this is, and so which of its GPUs it takes."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def alone() -> Iterator[None]:
    """While the block runs this process is the only one: what it does may fail on it alone."""
    global _apart
    _apart = True
    try:
        yield
    finally:
        _apart = False


@contextmanager
def process_group(device: torch.device, patience: float = 0.0) -> Iterator[None]:
    """Join the processes that `torchrun` started, if it did, while the block runs.

    patience: seconds that a rank waits for another; a quarter of an hour at least.

    Raises:
        ValueError: another process was lost on the way, whose own message tells why; or they
            cannot talk to each other.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    try:
        _join("nccl" if device.type == "cuda" else "gloo", max(patience, _PATIENCE))
        yield
        dist.barrier()  # gloo aborts a process whose peers leave while it still closes connections
    except RuntimeError as error:  # gloo's and nccl's errors are no class of their own
        message = str(error)
        if any(sign in message.lower() for sign in _LOST):
            raise ValueError(
                f"rank {os.environ['RANK']} stops, because another process of this job died or is "
                f"out of reach; its own message tells why ({message.splitlines()[0]})"
            ) from None
        if isinstance(error, dist.DistError) or "gloo" in message.lower():
            raise ValueError(
                f"rank {os.environ['RANK']}: the processes of this job cannot talk to each other: "
                f"{message}\nSee docs/clusters.md"
            ) from None
        raise
    # Whoever still holds the group keeps gloo's threads alive, and a program that ends beside them
    # is aborted now and then.
    gc.collect()
    dist.destroy_process_group()


def _join(backend: str, patience: float) -> None:
    timeout = timedelta(seconds=patience)
    store, own_rank, size = next(rendezvous("env://", timeout=timeout))
    # `torchrun` keeps its store when it starts all processes again; without names of their own
    # they would find the addresses of those that died.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    dist.init_process_group(
        backend,
        store=PrefixStore(f"attempt-{attempt}", store),
        rank=own_rank,
        world_size=size,
        timeout=timeout,
    )


@contextmanager
def main_first() -> Iterator[None]:
    """Let the main process go through the block before the others, which find what it left there.

    What it raises does not keep them from coming to the same end.
    """
    if world_size() > 1 and not is_main():
        dist.barrier()
    try:
        yield
    finally:
        if world_size() > 1 and is_main():
            dist.barrier()


def add_up(values: Tensor) -> Tensor:
    """The sum of a tensor over all ranks, in place; not differentiable."""
    if world_size() > 1:
        dist.all_reduce(values)
    return values


def exchange(value: Any) -> list[Any]:
    """What each rank has to say, plain data or dataclasses, in the order of ranks."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values

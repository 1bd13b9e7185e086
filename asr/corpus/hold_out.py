"""Stable choices: a seeded number for a name, the same on every machine and in every order."""

import hashlib


def hold_out_rank(name: str, seed: int) -> float:
    """A number in [0, 1) that depends on nothing but the name and the seed.

    Whoever falls below a bound is held out; adding names moves none of the others.
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48

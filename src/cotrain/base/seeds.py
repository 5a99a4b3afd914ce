"""Seeds of random draws, named after what draws them."""

import hashlib


def seed_of(seed: int, *names: str | int) -> int:
    """A seed in [0, 2^32) for one use of randomness, named by stage, round or the like."""
    text = "/".join(str(name) for name in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

"""Seeds of random draws, named after what draws them."""

import hashlib


def seed_of(seed: int, *names: str | int) -> int:
    """The seed, in [0, 2^32), of one use of randomness, which is named by stage, round or the like."""
    parts = [str(part) for part in (seed, *names)]
    text = "/".join(parts)
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big")

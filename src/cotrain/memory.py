"""What is done with memory that was freed."""

import contextlib
import ctypes

KEEP = (-1, -3)  # glibc's malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD


def keep_freed() -> None:
    """Keep memory once freed for what comes next.

    Else glibc returns large arrays to the system, which clears their pages anew: 5 to 20 % of a CPU's time.
    """
    with contextlib.suppress(AttributeError, OSError):  # another libc
        for option in KEEP:
            ctypes.CDLL(None).mallopt(option, 2**30)

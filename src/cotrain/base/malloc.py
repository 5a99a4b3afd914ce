"""What is done with memory that was freed, and that holds what is never freed."""

import contextlib
import ctypes
import gc

KEEP = (-1, -3)  # glibc's malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD


def keep_freed() -> None:
    """Keep memory once freed for what comes next.

    Else glibc returns large arrays to the system, which clears their pages anew: 5 to 20 % of a CPU's time.
    """
    with contextlib.suppress(AttributeError, OSError):  # another libc
        for option in KEEP:
            ctypes.CDLL(None).mallopt(option, 2**30)


def collect_again() -> None:
    """Look for garbage again, if that was off, but not among what there is by now: modules."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()

"""How the process keeps memory: what it freed, for reuse; what it never frees, out of the garbage collector's way."""

import contextlib
import ctypes
import gc

KEEP = (-1, -3)  # options of glibc's mallopt: M_TRIM_THRESHOLD and M_MMAP_THRESHOLD


def keep_freed() -> None:
    """Keep freed memory for the next arrays.

    Otherwise glibc returns large arrays to the system, which clears their pages anew: 5 to 20 % of a CPU's time.
    """
    with contextlib.suppress(AttributeError, OSError):  # another libc
        for option in KEEP:
            ctypes.CDLL(None).mallopt(option, 2**30)


def collect_again() -> None:
    """Turn the garbage collector on if it was off; it passes over what exists by now, the imported modules."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()

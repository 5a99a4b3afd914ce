"""The exception for faults of the user's input, and how faults are worded."""

import errno
import os
import re
from pathlib import Path

LONGEST = 4000  # characters of a line
# Characters that would end a line or steer a terminal: control characters and Unicode's line separators.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Errors of a wrong path, or of wrong content that has a library seek or read where there is nothing.
_FAULTS_OF_A_FILE = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.EFAULT,
    errno.EFBIG,
    errno.EOVERFLOW,
    errno.ESPIPE,
}
# How other libraries say that there is not enough memory, where they raise no MemoryError.
_NO_MEMORY = re.compile("out of memory|memory allocation failed|insufficient memory|allocate memory", re.IGNORECASE)
_ADVICE = {
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
    errno.EAGAIN: "another program has it locked: wait for it or end it",
    errno.ENOMEM: "close other programs, or use a machine with more memory",
}


class BadInput(Exception):  # noqa: N818 (it names what happened, not what we did wrong)
    """Bad data, file, configuration or argument: one line for each fault, with place, finding and remedy.

    `cotrain` prints each line as `error: …` and exits with code 2. Every other exception is a bug in cotrain.
    """

    def __init__(self, *lines: str):
        super().__init__("\n".join(_one_line(line) for line in lines))


def _one_line(text: str) -> str:
    """File names may hold anything, line breaks included; a message is one line, and not a page long."""
    line = _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
    if len(line) <= LONGEST:
        return line
    half = LONGEST // 2
    return f"{line[:half]} … {line[-half:]}"


def in_short(error: Exception) -> str:
    """The message of another library's exception, on one line."""
    return " ".join(str(error).split())[:240] or type(error).__name__


def unreadable(path: Path, error: BaseException) -> BadInput | None:
    """The BadInput for a file that the system did not let us read: permissions, disk, locks, memory.

    None if the file itself is at fault. Only then may a message advise deleting or replacing it.
    """
    number = _system_error(error)
    if number is None:
        return None
    advice = _ADVICE.get(number, "check the disk and the file system, then try again")
    return BadInput(f"{path}: cannot be read ({os.strerror(number)}); {advice}")


def _system_error(error: BaseException) -> int | None:
    """The error number, unless it says that the file is at fault."""
    if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
        return errno.ENOMEM
    number = getattr(error, "errno", None)
    if not isinstance(error, OSError) or number in _FAULTS_OF_A_FILE:
        return None
    return number

"""The one exception that means: the person's input is at fault, and here is how to mend it."""

import re

LONGEST = 4000  # characters of a line
# What would end a line or steer a terminal: control characters and Unicode's separators of lines.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class BadInput(Exception):  # noqa: N818 (it names what happened, not what we did wrong)
    """Bad data, file, configuration or argument; one line for each fault: where, what was found, what to do.

    `cotrain` prints each as `error: …` and exits with code 2. Every other exception is a bug of ours.
    """

    def __init__(self, *lines: str):
        super().__init__("\n".join(_one_line(line) for line in lines))


def _one_line(text: str) -> str:
    """File names may hold anything, line breaks too; a message is one line, and not a page long."""
    shown = _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST // 2]} … {shown[-LONGEST // 2 :]}"


def in_short(error: Exception) -> str:
    """What another library says is wrong, on one line."""
    return " ".join(str(error).split())[:240] or type(error).__name__

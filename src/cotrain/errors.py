"""The one exception that means: the person's input is at fault, and here is how to mend it."""


class BadInput(Exception):  # noqa: N818 (it names what happened, not what we did wrong)
    """Bad data, file, configuration or argument; the message is one line: where, what was found, what to do.

    `cotrain` prints it as `error: …` and exits with code 2. Every other exception is a bug of ours.
    """

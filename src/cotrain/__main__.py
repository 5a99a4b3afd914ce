"""The command `cotrain`, and `python -m cotrain`."""

import gc
import sys


def main() -> int:
    """As `cli.main`, with the search for garbage off until the stage begins: imports make none, and cause many."""
    gc.disable()
    from cotrain import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())

"""The command `cotrain`, and `python -m cotrain`."""

import gc
import sys


def main() -> int:
    """As `cli.main`; until the stage begins no garbage is looked for: imports make little and set off many searches."""
    gc.disable()
    from cotrain import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())

"""The command `cotrain`, and `python -m cotrain`."""

import gc
import sys


def main() -> int:
    """Like `cli.main`; garbage collection is off until the command works: imports leave little and trigger it often."""
    gc.disable()
    try:
        from cotrain import cli
    except KeyboardInterrupt:
        return 130
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())

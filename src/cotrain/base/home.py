"""A home and a name for a user who has none, such as that of a container started with `--user 12345`.

Snakemake, matplotlib, bokeh and torch keep caches in the home and ask for the name, and most end with a traceback
where there is none.
"""

import os
from pathlib import Path

from cotrain.base.errors import BadInput

NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # where `getpass.getuser` looks before the list of users


def ensure_home() -> None:
    """Set what is missing of HOME and USER in the environment; with a home that is read-only, folders for caches.

    They lie in a folder of this user's own below that for temporary files. Raises BadInput if it cannot be made.
    """
    home = _home()
    if home is None:
        os.environ["HOME"] = str(_own_folder())
    elif not os.access(home, os.W_OK) and not (home / ".cache").exists():
        os.environ.setdefault("XDG_CACHE_HOME", str(_own_folder()))
        os.environ.setdefault("MPLCONFIGDIR", str(_own_folder() / "matplotlib"))
    if not any(os.environ.get(name) for name in NAMES) and not _is_listed():
        os.environ["USER"] = str(os.getuid())


def _home() -> Path | None:
    if os.environ.get("HOME"):
        return Path(os.environ["HOME"])
    try:
        return Path.home()
    except RuntimeError:
        return None


def _is_listed() -> bool:
    """Whether the system has a name for this user."""
    import pwd

    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return True


def _own_folder() -> Path:
    from tempfile import gettempdir

    folder = Path(gettempdir(), f"cotrain-home-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made ({error.strerror}); set HOME to a folder of your own") from None
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise BadInput(f"{folder}: it belongs to another user; set HOME to a folder of your own")
    return folder

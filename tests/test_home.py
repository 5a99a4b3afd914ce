"""A user without a name, a home, or a home that can be written to, as in a container started with `--user 12345`."""

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import PROJECT
from workflow_runs import SNAKEFILE, TINY

from cotrain.base import home
from cotrain.base.errors import BadInput

NOBODY = 12345
VARIABLES = ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", *home.NAMES)
# Where Python lies in root's home, a user without privileges needs leave to read it.
LEAVE = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
LEAVE += ["--bounding-set=-all,+dac_read_search"]


@pytest.fixture
def nameless(tmp_path, monkeypatch):
    """This process's environment and list of users without a trace of the user; temporary files are below tmp_path."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("pwd.getpwuid", _no_such_user)
    return tmp_path


def _no_such_user(number: int):
    raise KeyError(number)


@pytest.fixture
def as_nobody():
    """`as_nobody(*arguments, **environment)` runs Python as a user that the system does not know; and its folder."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("becoming another user needs root and setpriv")
    identity = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *LEAVE]
    folder = Path(tempfile.mkdtemp(prefix="nobody "))  # pytest's own folders are closed to others
    shutil.chown(folder, NOBODY, NOBODY)
    base = {name: value for name, value in os.environ.items() if name not in VARIABLES}

    def call(*command: str, **environment: str) -> subprocess.CompletedProcess:
        variables = base | {"TMPDIR": str(folder)} | environment
        arguments = [*identity, sys.executable, *command]
        return subprocess.run(arguments, cwd=folder, env=variables, capture_output=True, text=True, check=False)

    if call("-c", "import cotrain").returncode != 0:
        shutil.rmtree(folder)
        pytest.skip("another user cannot read this Python")
    yield call, folder
    shutil.rmtree(folder)


def test_user_without_home_and_name_gets_both(nameless):
    with pytest.raises(KeyError):
        getpass.getuser()
    home.ensure_home()
    assert getpass.getuser() == str(os.getuid())
    assert Path.home().parent == nameless and Path.home().stat().st_mode & 0o777 == 0o700
    before = dict(os.environ)
    home.ensure_home()
    assert os.environ == before


def test_home_and_name_that_are_there_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOGNAME", "ada")
    before = dict(os.environ)
    home.ensure_home()
    assert os.environ == before


def test_caches_do_not_go_to_a_home_that_is_read_only(nameless, monkeypatch):
    monkeypatch.setenv("HOME", "/")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    home.ensure_home()
    assert os.environ["HOME"] == "/"
    assert Path(os.environ["XDG_CACHE_HOME"]).parent == nameless
    assert Path(os.environ["MPLCONFIGDIR"]).is_relative_to(os.environ["XDG_CACHE_HOME"])


def test_caches_that_a_read_only_home_has_are_used(nameless, monkeypatch):
    """They may hold weights that were fetched beforehand."""
    (nameless / ".cache").mkdir()
    monkeypatch.setenv("HOME", str(nameless))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    home.ensure_home()
    assert "XDG_CACHE_HOME" not in os.environ


def test_folder_of_another_user_is_not_taken(nameless):
    place = nameless / f"cotrain-home-{os.getuid()}"
    place.symlink_to(nameless)
    with pytest.raises(BadInput, match="it belongs to another user; set HOME"):
        home.ensure_home()
    place.unlink()
    place.touch()
    with pytest.raises(BadInput, match=r"cannot be made .+; set HOME"):
        home.ensure_home()


def test_commands_work_without_home_and_name(as_nobody):
    call, folder = as_nobody
    settings = '{"look": "camera", "count": 1, "size": [32, 64]}'
    done = call("-m", "cotrain", "render", "--out", "scenes", "--settings", settings)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert (folder / "scenes" / "images" / "00000.png").is_file()
    libraries = "from cotrain.base.home import ensure_home; ensure_home(); import bokeh.models, matplotlib.pyplot"
    done = call("-c", libraries)
    assert (done.returncode, done.stderr) == (0, "")


def test_snakemake_works_without_name_in_a_home_that_is_read_only(as_nobody):
    call, folder = as_nobody
    (folder / "config.yaml").write_bytes((PROJECT / "config.yaml").read_bytes())
    done = call("-m", "snakemake", *SNAKEFILE, "--cores", "1", "-n", "--configfile", str(TINY), HOME="/")
    assert done.returncode == 0 and "This was a dry-run" in done.stdout, done.stderr

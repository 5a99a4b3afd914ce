"""The command line: roles of paths, and what is refused before a command works."""

import os
import socket
import stat
import sys

import numpy as np
import pytest
import torch
from conftest import save, write_index

from cotrain import cli
from cotrain.base.errors import BadInput
from cotrain.base.roles import FOLDER, KEPT, LOOKUP, POSITIONAL, READ, WRITE, Role
from cotrain.files import paths
from cotrain.training import restarts

ARGUMENTS = [(command, argument) for command in cli.STAGES for argument in cli.arguments_of(cli.run_of(command))]
INPUTS = [pytest.param(*pair, id=f"{pair[0]}-{pair[1].name}") for pair in ARGUMENTS if READ in pair[1].role]
OUTPUTS = [pytest.param(*pair, id=f"{pair[0]}-{pair[1].name}") for pair in ARGUMENTS if WRITE in pair[1].role]


@pytest.fixture
def fifo(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.fixture
def drawn(tmp_path, capsys):
    """`drawn(*words)`: the error of `cotrain draw` with a good index and further arguments."""
    image = np.zeros((4, 4, 3), np.uint8)
    index = write_index(tmp_path / "index.csv", {"a": image})

    def call(*words) -> str:
        assert cli.main(["draw", "--index", str(index), *map(str, words)]) == 2
        return capsys.readouterr().err

    return call


@pytest.fixture
def words(tmp_path, monkeypatch):
    """`words(command, name, path)`: a command line with that path for one argument, good ones for the others.

    Of the command, only the arguments are left: its settings are not checked, and it does nothing.
    """
    monkeypatch.setattr(cli, "parse_json", lambda kind, text: kind.model_construct())
    monkeypatch.setattr(cli, "run_of", lambda command, run_of=cli.run_of: _without_work(run_of(command)))

    def build(command: str, name: str, path) -> list[str]:
        line = [command]
        for argument in cli.arguments_of(cli.run_of(command)):
            value = tmp_path / f"{argument.name}.file"
            if argument.is_settings:
                value = "{}"
            elif argument.name == name:
                value = path
            elif not argument.required:
                continue
            elif READ in argument.role:
                value.touch()
            if POSITIONAL not in argument.role:
                line.append(argument.flag)
            line += [str(value)] * (2 if argument.is_pair else 1)
        return line

    return build


def _without_work(run):
    def idle(**values) -> None:
        pass

    idle.__signature__ = cli.inspect.signature(run)
    idle.__module__ = run.__module__
    return idle


# ---- roles ------------------------------------------------------------------------------------------------------


def test_every_path_of_every_command_is_read_or_written():
    for command, argument in ARGUMENTS:
        is_path = "Path" in str(argument.kind)
        assert is_path == ((READ in argument.role) != (WRITE in argument.role)), (command, argument)
        assert is_path or argument.is_settings or argument.kind in (str, bool), (command, argument)
        assert not argument.role & (FOLDER | KEPT) or WRITE in argument.role, (command, argument)
        assert not argument.role & (LOOKUP | POSITIONAL) or READ in argument.role, (command, argument)


def test_roles_are_read_off_the_signature():
    train = {argument.name: argument for argument in cli.arguments_of(cli.run_of("train"))}
    assert (train["source"].role, train["source"].required) == (READ, True)
    assert (train["target"].role, train["target"].required) == (READ, False)
    assert train["restart"].role == WRITE | KEPT and train["restart"].replaces == restarts.KIND
    assert train["settings"].is_settings and train["settings"].role == Role(0)
    summarize = {argument.name: argument for argument in cli.arguments_of(cli.run_of("summarize"))}
    assert summarize["metrics_files"].flag == "--metrics" and summarize["metrics_files"].is_list


# ---- inputs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "argument"), INPUTS)
def test_input_that_is_a_pipe_is_refused_before_it_is_opened(words, fifo, capsys, command, argument):
    assert cli.main(words(command, argument.name, fifo)) == 2
    expected = "a file or folder" if LOOKUP in argument.role else "a file"
    assert f"{fifo}: a device, pipe or socket, expected {expected};" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "argument"), INPUTS)
def test_link_to_a_file_is_a_file(words, tmp_path, command, argument):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    assert cli.main(words(command, argument.name, tmp_path / "link")) == 0


def test_settings_in_a_pipe_are_refused_before_it_is_opened(drawn, fifo, tmp_path):
    assert f"{fifo} is not a file" in drawn("--out", tmp_path / "out.csv", "--settings", fifo)


# ---- outputs ----------------------------------------------------------------------------------------------------


def make_pipe(path):
    os.mkfifo(path)


def make_device(path):
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # as good as /dev/null
    except PermissionError:
        pytest.skip("making a device needs root")


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize("make", [make_pipe, make_device, make_socket])
@pytest.mark.parametrize(("command", "argument"), OUTPUTS)
def test_output_does_not_replace_what_is_no_file(words, tmp_path, capsys, command, argument, make):
    place = tmp_path / "here"
    make(place)
    before = place.lstat()
    assert cli.main(words(command, argument.name, place)) == 2
    assert f"{place}: a device, pipe or socket is in the way" in capsys.readouterr().err
    assert (place.lstat().st_ino, place.lstat().st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize(("command", "argument"), OUTPUTS)
def test_output_does_not_replace_a_link_to_a_device(words, tmp_path, command, argument):
    (tmp_path / "link").symlink_to("/dev/null")
    assert cli.main(words(command, argument.name, tmp_path / "link")) == 2
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("name", ["null", "stdout", "stderr"])
def test_nothing_in_the_folder_of_devices_is_replaced(name, tmp_path):
    """Not by its name, and not through a link to the folder."""
    (tmp_path / "link").symlink_to("/dev")
    for folder in ("/dev", tmp_path / "link"):
        with pytest.raises(BadInput, match="is in the way"):
            paths.check_output(paths.Path(folder, name), WRITE, "")


@pytest.mark.parametrize(("command", "argument"), OUTPUTS)
def test_file_is_no_folder_and_a_folder_no_file(words, tmp_path, capsys, command, argument):
    is_folder = FOLDER in argument.role
    place = save(tmp_path / "folder" / "file.png", np.zeros((2, 2), np.uint8))
    place = place if is_folder else place.parent
    assert cli.main(words(command, argument.name, place)) == 2
    expected = f"{place}: a {'file' if is_folder else 'folder'} is in the way"
    assert expected in capsys.readouterr().err
    assert (tmp_path / "folder" / "file.png").is_file()


@pytest.mark.parametrize("length", [240, 300])
def test_name_that_is_too_long_is_refused_before_the_work(drawn, tmp_path, length):
    """Its provenance stands beside it in a file of a longer name."""
    assert "too long" in drawn("--out", tmp_path / ("é" * (length // 2)), "--settings", '{"count": 1}')


def test_file_of_settings_is_no_output(drawn, tmp_path):
    place = tmp_path / "settings.json"
    place.write_text('{"count": 1}')
    assert "it is an input too" in drawn("--out", place, "--settings", place)
    assert place.read_text() == '{"count": 1}'


def test_file_that_settings_name_is_no_output(refused, tmp_path):
    mask = save(tmp_path / "mask.png", np.zeros((4, 4), np.uint8))
    index = write_index(tmp_path / "index.csv", {})
    settings = {"classes": ["road", "sky"], "size": [32, 32], "ego_mask": str(mask)}
    (tmp_path / "model.pt").touch()
    line = refused("infer", settings, model=tmp_path / "model.pt", images=index, out=mask)
    assert "mask.png: it is an input too" in line


# ---- restart files ----------------------------------------------------------------------------------------------


def a_model(path):
    torch.save({"format": "cotrain-model", "version": 1, "state": {"a": torch.zeros(3)}}, path)


def weights_of_others(path):
    torch.save({"state_dict": {"a": torch.zeros(3)}}, path)


def a_table(path):
    path.write_text("image_id,image\n")


def notes_about_restart_files(path):
    path.write_text(" " * paths.HEAD + restarts.KIND)


OTHERS = [a_model, weights_of_others, a_table, notes_about_restart_files]


@pytest.mark.parametrize("make", OTHERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("link", [False, True], ids=["", "link"])
def test_training_does_not_take_other_files_for_its_restart_file(words, tmp_path, capsys, make, link):
    place = tmp_path / "model.pt"
    make(place)
    before = place.read_bytes()
    if link:
        (tmp_path / "link.pt").symlink_to(place)
    given = tmp_path / "link.pt" if link else place
    assert cli.main(words("train", "restart", given)) == 2
    line = capsys.readouterr().err
    assert f"{given}: not a cotrain-restart file, and would be lost; move it or give another path" in line
    assert place.read_bytes() == before and given.exists()


def empty(path):
    path.touch()


def zeros(path):
    path.write_bytes(bytes(10000))


def none(path):
    pass


@pytest.mark.parametrize("make", [empty, zeros, none], ids=lambda make: make.__name__)
def test_restart_file_may_replace_what_a_power_cut_leaves(words, tmp_path, make):
    make(tmp_path / "restart.pt")
    assert cli.main(words("train", "restart", tmp_path / "restart.pt")) == 0


# ---- interrupts -------------------------------------------------------------------------------------------------


def test_interrupt_while_a_command_is_imported_ends_without_a_traceback(monkeypatch, capsys):
    def interrupted(command: str):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run_of", interrupted)
    assert cli.main(["draw"]) == 130 and capsys.readouterr().err == ""


def test_interrupt_while_the_command_line_is_imported_ends_without_a_traceback(monkeypatch):
    from cotrain import __main__

    monkeypatch.setitem(sys.modules, "cotrain.cli", None)
    monkeypatch.delattr("cotrain.cli")
    monkeypatch.setattr("builtins.__import__", _interrupted(__import__))
    assert __main__.main() == 130


def _interrupted(original):
    def load(name, namespace=None, local=None, names=(), level=0):
        if name == "cotrain" and "cli" in (names or ()):
            raise KeyboardInterrupt
        return original(name, namespace, local, names, level)

    return load

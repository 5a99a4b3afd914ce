"""Folders that cannot be read are errors: otherwise their files would be lost silently."""

import errno
import os

import numpy as np
import pytest
from conftest import MADE_BY, save

from cotrain.base.errors import BadInput
from cotrain.base.folders import files_below
from cotrain.base.patterns import matching
from cotrain.data import indexing, media
from cotrain.data.survey import survey
from cotrain.files import atomic
from cotrain.files.hashes import sha256
from cotrain.files.provenance import listing
from cotrain.files.sidecars import made_files
from cotrain.settings.datasets import Index

LAYOUT = Index(images="images/{id}.png")


@pytest.fixture
def root(tmp_path):
    """Two towns of images; a link leads to the second."""
    for town in ("aachen", "ulm"):
        save(tmp_path / "images" / town / "1.png", np.zeros((4, 6, 3), np.uint8))
        atomic.write_sidecar(tmp_path / "images" / town / "1.png", MADE_BY)
    (tmp_path / "images" / "ulm").rename(tmp_path / "far")
    (tmp_path / "images" / "ulm").symlink_to(tmp_path / "far", target_is_directory=True)
    return tmp_path


READERS = {
    "matching": lambda root: list(matching(root, "images/{id}.png")),
    "index": lambda root: indexing.index(root, LAYOUT),
    "listing": lambda root: listing(root, LAYOUT.model_dump(mode="json")),
    "survey": lambda root: survey(root, LAYOUT, 1, "towns"),
    "media": lambda root: media.listed([root], root / "out"),
    "hash": lambda root: sha256(root),
    "sidecars": lambda root: made_files(root),
}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE], ids=errno.errorcode.get)
@pytest.mark.parametrize("reader", READERS)
def test_folder_that_cannot_be_read_is_named(reader, number, root, monkeypatch):
    READERS[reader](root)
    scandir = os.scandir

    def refuse(folder):
        if str(folder).endswith("aachen"):
            raise OSError(number, os.strerror(number))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BadInput, match=rf"images/aachen: cannot be read \({os.strerror(number)}\); check "):
        READERS[reader](root)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read every folder")
@pytest.mark.parametrize("reader", READERS)
def test_folder_without_permissions_is_named(reader, root):
    (root / "images" / "aachen").chmod(0)
    try:
        with pytest.raises(
            BadInput, match=r"images/aachen: cannot be read \(Permission denied\); check its permissions"
        ):
            READERS[reader](root)
    finally:
        (root / "images" / "aachen").chmod(0o755)


def test_link_into_a_folder_that_may_not_be_entered_is_named(root, monkeypatch):
    """Whether it is a folder cannot be told; os.walk takes it for a file."""

    class Locked:
        name, path = "ulm", str(root / "images" / "ulm")

        def is_dir(self):
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("cotrain.base.patterns.entries_of", lambda folder: [Locked()])
    with pytest.raises(BadInput, match=r"images/ulm: cannot be read \(Permission denied\)"):
        list(matching(root, "images/{id}.png"))


def test_folder_that_does_not_exist_or_vanishes_is_empty(tmp_path):
    assert list(matching(tmp_path, "images/{id}.png")) == []
    assert list(files_below(tmp_path / "gone")) == []


def test_names_are_those_below_the_folder_through_links_and_once(root):
    (root / "images" / "again").symlink_to(root / "images", target_is_directory=True)
    (root / "images" / "itself.png").symlink_to("itself.png")
    (root / "images" / ".hidden").mkdir()
    save(root / "images" / ".hidden" / "1.png", np.zeros((4, 6, 3), np.uint8))
    found = {name for _, name in matching(root, "images/{id}.png")}
    assert found == {"images/aachen/1.png", "images/ulm/1.png", "images/itself.png"}
    assert {name for _, name in matching(root, "images//./{id}.png")} == set()


def test_files_below_are_in_hidden_folders_too_and_not_behind_links(root):
    save(root / ".hidden" / "1.png", np.zeros((4, 6, 3), np.uint8))
    found = {os.path.relpath(file.path, root) for file in files_below(root) if file.name == "1.png"}
    assert found == {"images/aachen/1.png", "far/1.png", ".hidden/1.png"}

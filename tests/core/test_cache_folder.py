from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn.core.cache_folder import cache_folder
from edgecnn.core.errors import InputError


def test_environment_variables_set_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("EDGECNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/edgecnn")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder() == Path("/home/somebody/.cache/edgecnn")


def test_user_without_home_folder_is_asked_to_set_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_without_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("EDGECNN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", raise_without_home)
    with pytest.raises(InputError, match="set \\$EDGECNN_CACHE to a folder"):
        cache_folder()

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import InputError
from edgecnn.core.labels import LabelMap, labels_from_text, labels_to_text, read_labels

names = (
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
    .map(str.strip)
    .filter(lambda name: name and "\n" not in name)
)


@given(st.lists(names, min_size=1))
def test_labels_survive_a_round_trip_through_text(labels: list[str]) -> None:
    assert labels_from_text(labels_to_text(labels)) == LabelMap(tuple(labels))


def test_two_classes_may_share_a_name() -> None:
    labels = LabelMap(("crane", "owl", "crane"))
    assert (len(labels), labels[2], list(labels)) == (3, "crane", ["crane", "owl", "crane"])


@pytest.mark.parametrize("bad", ["", " cat", "cat ", "cat\ndog", "\udcff"])
def test_invalid_label_is_refused_by_index(bad: str) -> None:
    with pytest.raises(InputError, match="label 1 must be"):
        LabelMap(("cat", bad))


@pytest.mark.parametrize("text", ["", "\n\n", "  \n"])
def test_text_without_labels_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="at least one label, got none"):
        labels_from_text(text)


def test_blank_line_is_refused_between_labels_and_ignored_at_the_end() -> None:
    assert labels_from_text("cat\ndog\n\n").names == ("cat", "dog")
    with pytest.raises(InputError, match="label 1 must be"):
        labels_from_text("cat\n\ndog\n")


@pytest.mark.parametrize("content", [b"cat\r\ndog\r\n", b"\xef\xbb\xbfcat\ndog", b"cat\ndog\n\n"])
def test_labels_files_of_all_editors_are_read(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    assert read_labels(path).names == ("cat", "dog")


def test_error_for_unreadable_labels_file_is_one_line_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "gap").write_text("cat\n\ndog\n")
    for name in ("absent", "binary", "gap", "."):
        with pytest.raises(InputError) as caught:
            read_labels(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert "\n" not in str(caught.value)

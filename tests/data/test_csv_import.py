from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.labels import LabelMap
from edgecnn.data.csv_columns import Columns
from edgecnn.data.csv_table import read_csv
from edgecnn.data.source import Photo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos whose content is their name; a CSV import does not look into them."""
    for name in ("a/1.jpg", "b/1.jpg", "b/2.PNG"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return tmp_path


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding=encoding)
    return path


def photos(folder: Path, text: str, labels: LabelMap | None = None, columns: Columns | None = None) -> list[Photo]:
    source = read_csv(table(folder, text), labels, columns)
    found = list(source.photos())
    assert source.count == len(found)
    return found


def refusal(folder: Path, text: str, labels: LabelMap | None = None, columns: Columns | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read_csv(table(folder, text), labels, columns)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_table_of_paths_and_labels_is_all_for_training(folder: Path) -> None:
    assert photos(folder, "path,label\na/1.jpg,cat\nb/1.jpg,cat\nb/2.PNG,owl\n") == [
        Photo("train", "cat", "000002-1.jpg", b"a/1.jpg"),
        Photo("train", "cat", "000003-1.jpg", b"b/1.jpg"),
        Photo("train", "owl", "000004-2.PNG", b"b/2.PNG"),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(delimiter: str, folder: Path) -> None:
    rows = [("id", "path", "label"), ("7", "a/1.jpg", "cat")]
    text = "".join(delimiter.join(row) + "\n" for row in rows)
    assert [photo.label for photo in photos(folder, text)] == ["cat"]


def test_splits_are_those_of_the_table_by_their_usual_names(folder: Path) -> None:
    text = "path,label,split\na/1.jpg,cat,train\nb/1.jpg,cat,VAL\nb/2.PNG,owl,test\n"
    assert [photo.split for photo in photos(folder, text)] == ["train", "validation", "test"]


def test_columns_may_be_called_otherwise(folder: Path) -> None:
    text = "file, breed ,fold\na/1.jpg,cat,test\n"
    (photo,) = photos(folder, text, columns=Columns("file", "breed", "fold"))
    assert (photo.label, photo.split) == ("cat", "test")
    assert photos(folder, text, columns=Columns("file", "breed"))[0].split == "train"


def test_quotes_blank_lines_and_a_byte_order_mark_are_taken_as_they_are_meant(folder: Path) -> None:
    path = table(folder, '"path","label"\n\n"a/1.jpg","cat, gray"\n', encoding="utf-8-sig")
    assert [photo.label for photo in read_csv(path).photos()] == ["cat, gray"]


def test_a_slash_in_a_label_is_no_folder(folder: Path) -> None:
    assert photos(folder, "path,label\na/1.jpg,T-shirt/top\n")[0].label == "T-shirt-top"


def test_numbers_are_named_where_names_are_given(folder: Path) -> None:
    text = "path,label\na/1.jpg,1\nb/1.jpg,0\n"
    assert [photo.label for photo in photos(folder, text, LabelMap(("cat", "owl")))] == ["owl", "cat"]
    assert [photo.label for photo in photos(folder, text)] == ["1", "0"]


def test_an_absolute_path_is_one(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x.jpg"
    elsewhere.write_text("x")
    assert photos(folder, f"path,label\n{elsewhere},cat\n")[0].content == b"x"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path,label\na/1.jpg,cat\na/9.jpg,cat\n", "line 3: no such file"),
        ("path,label\na/1.jpg,\n", "line 2: label is empty"),
        ("path,label\na/1.jpg\n", "line 2: label is empty"),
        ("path,label\nlabels.csv,cat\n", "labels.csv is not called like a photo"),
        ("path,label\na/1.jpg,.cat\n", "expected a label that a folder can be called by, got '.cat'"),
        ("path,label\na/1.jpg,a/b\nb/1.jpg,a-b\n", "two labels would share the folder 'a-b'"),
        ("path,label,split\na/1.jpg,cat,tets\n", "unknown split in"),
        ("path,labels\na/1.jpg,cat\n", "'label': did you mean 'labels'?"),
        ("path,label\n", "has a header and no rows"),
        ("", "expected a header of columns"),
        ("a/1.jpg\n", "expected a header of columns"),
    ],
)
def test_what_does_not_hold_is_named_with_its_line(text: str, expected: str, folder: Path) -> None:
    assert expected in refusal(folder, text)


def test_a_split_column_that_is_asked_for_must_be_there(folder: Path) -> None:
    with pytest.raises(UnknownName, match="'fold': known: path, label"):
        read_csv(table(folder, "path,label\na/1.jpg,cat\n"), columns=Columns(split="fold"))


def test_names_ask_for_numbers(folder: Path) -> None:
    labels = LabelMap(("cat", "owl"))
    assert "line 2: expected the number of a label, got 'cat'" in refusal(folder, "path,label\na/1.jpg,cat\n", labels)
    assert "has a class 2" in refusal(folder, "path,label\na/1.jpg,2\n", labels)


def test_what_is_no_table_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_csv(folder / "absent.csv")
    (folder / "labels.csv").write_bytes(b"path,label\n\xff\xfe\n")
    with pytest.raises(InputError, match="is not a CSV of paths and labels in UTF-8"):
        read_csv(folder / "labels.csv")


def test_a_photo_that_goes_away_is_named(folder: Path) -> None:
    source = read_csv(table(folder, "path,label\na/1.jpg,cat\n"))
    (folder / "a" / "1.jpg").unlink()
    with pytest.raises(InputError, match="line 2: cannot read"):
        list(source.photos())

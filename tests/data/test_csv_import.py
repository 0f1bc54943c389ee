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
    """Write photos whose content is their name; a CSV import does not decode them."""
    for name in ("a/1.jpg", "b/1.jpg", "b/2.PNG"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return tmp_path


def write_table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding=encoding)
    return path


def photos(folder: Path, text: str, labels: LabelMap | None = None, columns: Columns | None = None) -> list[Photo]:
    source = read_csv(write_table(folder, text), labels, columns)
    found = list(source.photos())
    assert source.count == len(found)
    return found


def error_of(folder: Path, text: str, labels: LabelMap | None = None, columns: Columns | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read_csv(write_table(folder, text), labels, columns)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_split_column_all_photos_are_for_training(folder: Path) -> None:
    assert photos(folder, "path,label\na/1.jpg,cat\nb/1.jpg,cat\nb/2.PNG,owl\n") == [
        Photo("train", "cat", "000002-1.jpg", b"a/1.jpg"),
        Photo("train", "cat", "000003-1.jpg", b"b/1.jpg"),
        Photo("train", "owl", "000004-2.PNG", b"b/2.PNG"),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_detected(delimiter: str, folder: Path) -> None:
    rows = [("id", "path", "label"), ("7", "a/1.jpg", "cat")]
    text = "".join(delimiter.join(row) + "\n" for row in rows)
    assert [photo.label for photo in photos(folder, text)] == ["cat"]


def test_the_split_column_accepts_the_usual_names(folder: Path) -> None:
    text = "path,label,split\na/1.jpg,cat,train\nb/1.jpg,cat,VAL\nb/2.PNG,owl,test\n"
    assert [photo.split for photo in photos(folder, text)] == ["train", "validation", "test"]


def test_columns_can_have_other_names(folder: Path) -> None:
    text = "file, breed ,fold\na/1.jpg,cat,test\n"
    (photo,) = photos(folder, text, columns=Columns("file", "breed", "fold"))
    assert (photo.label, photo.split) == ("cat", "test")
    assert photos(folder, text, columns=Columns("file", "breed"))[0].split == "train"


def test_quotes_blank_lines_and_a_byte_order_mark_are_handled(folder: Path) -> None:
    path = write_table(folder, '"path","label"\n\n"a/1.jpg","cat, gray"\n', encoding="utf-8-sig")
    assert [photo.label for photo in read_csv(path).photos()] == ["cat, gray"]


def test_a_slash_in_a_label_does_not_make_a_subfolder(folder: Path) -> None:
    assert photos(folder, "path,label\na/1.jpg,T-shirt/top\n")[0].label == "T-shirt-top"


def test_label_names_replace_numbers(folder: Path) -> None:
    text = "path,label\na/1.jpg,1\nb/1.jpg,0\n"
    assert [photo.label for photo in photos(folder, text, LabelMap(("cat", "owl")))] == ["owl", "cat"]
    assert [photo.label for photo in photos(folder, text)] == ["1", "0"]


def test_an_absolute_path_is_accepted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x.jpg"
    elsewhere.write_text("x")
    assert photos(folder, f"path,label\n{elsewhere},cat\n")[0].content == b"x"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path,label\na/1.jpg,cat\na/9.jpg,cat\n", "line 3: no such file"),
        ("path,label\na/1.jpg,\n", "line 2: label is empty"),
        ("path,label\na/1.jpg\n", "line 2: label is empty"),
        ("path,label\nlabels.csv,cat\n", "labels.csv has no photo extension"),
        ("path,label\na/1.jpg,.cat\n", "expected a label that is a valid folder name, got '.cat'"),
        ("path,label\na/1.jpg,a/b\nb/1.jpg,a-b\n", "two labels would share the folder 'a-b'"),
        ("path,label,split\na/1.jpg,cat,tets\n", "unknown split in"),
        ("path,labels\na/1.jpg,cat\n", "'label': did you mean 'labels'?"),
        ("path,label\n", "has a header but no rows"),
        ("", "expected a header of columns"),
        ("a/1.jpg\n", "expected a header of columns"),
    ],
)
def test_an_invalid_table_is_refused_with_the_line(text: str, expected: str, folder: Path) -> None:
    assert expected in error_of(folder, text)


def test_a_requested_split_column_must_exist(folder: Path) -> None:
    with pytest.raises(UnknownName, match="'fold': known: path, label"):
        read_csv(write_table(folder, "path,label\na/1.jpg,cat\n"), columns=Columns(split="fold"))


def test_label_names_require_numbers_in_the_table(folder: Path) -> None:
    labels = LabelMap(("cat", "owl"))
    assert "line 2: expected the number of a label, got 'cat'" in error_of(folder, "path,label\na/1.jpg,cat\n", labels)
    assert "contains class 2, but the names end at 1" in error_of(folder, "path,label\na/1.jpg,2\n", labels)


def test_a_missing_or_binary_file_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_csv(folder / "absent.csv")
    (folder / "labels.csv").write_bytes(b"path,label\n\xff\xfe\n")
    with pytest.raises(InputError, match="is not a CSV of paths and labels in UTF-8"):
        read_csv(folder / "labels.csv")


def test_a_photo_deleted_during_the_import_is_named(folder: Path) -> None:
    source = read_csv(write_table(folder, "path,label\na/1.jpg,cat\n"))
    (folder / "a" / "1.jpg").unlink()
    with pytest.raises(InputError, match="line 2: cannot read"):
        list(source.photos())

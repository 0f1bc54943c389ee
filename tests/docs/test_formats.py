"""The generated tables in docs/formats.md match the models."""

from __future__ import annotations

from docs.generate_formats import BLOCK, DOCUMENT, FORMATS, fields_of, updated

COMMAND = "python docs/generate_formats.py"


def test_the_tables_are_up_to_date() -> None:
    document = DOCUMENT.read_text()
    assert updated(document) == document, f"docs/formats.md is stale: run {COMMAND}"
    assert COMMAND in document


def test_every_format_has_a_table_whose_keys_have_a_type_and_a_meaning() -> None:
    document = DOCUMENT.read_text()
    assert [name for _, name, _ in BLOCK.findall(document)] == list(FORMATS)
    for model in FORMATS.values():
        for name, _, meaning in fields_of(model):
            assert meaning, f"{model.__name__}.{name} needs an attribute docstring"
            assert f"| `{name}` |" in document

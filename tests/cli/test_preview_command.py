from __future__ import annotations

import shutil
from pathlib import Path

from edgecnn.core.preprocess import decode_image
from edgecnn.core.settings.augment import AugmentSettings, parse_augment
from tests.cli.commands import json_of, refusal, run_here


def test_preview_draws_photos_of_every_class(few_digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheets" / "changes.png"
    record = json_of("preview", few_digits, "--out", out, "--height", 32, "--augment", "none,rotation_degrees=15")
    assert record["path"] == str(out)
    assert AugmentSettings.model_validate(record["augment"]) == parse_augment("none,rotation_degrees=15")
    assert [Path(photo).parent for photo in record["photos"]] == [few_digits / "train" / digit for digit in "001122"]
    assert all(Path(photo).exists() for photo in record["photos"])
    picture = decode_image(out.read_bytes())
    assert picture is not None and picture.std() > 10


def test_preview_prints_the_active_changes(few_digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "changes.png"
    outcome = run_here("preview", few_digits, "--out", out, "--height", 32, "--augment", "none,noise=0.1,flip=true")
    assert [line.split() for line in outcome.stdout.splitlines()] == [["flip", "true"], ["noise", "0.1"]]
    assert outcome.log[-1] == f"{out} shows 6 photos and how training would change them"


def test_another_seed_shows_other_photos(few_digits: Path, tmp_path: Path) -> None:
    shown = [
        json_of("preview", few_digits, "--out", tmp_path / "sheet.png", "--height", 32, "--seed", seed)["photos"]
        for seed in (0, 1)
    ]
    assert shown[0] != shown[1]


def test_preview_refuses_what_training_would_refuse(few_digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    assert "unknown augmentation 'rotation': did you mean 'rotation_degrees'?" in refusal(
        "preview", few_digits, "--out", out, "--augment", "rotation=15"
    )
    assert "did you mean 'efficientnet_lite0'" in refusal(
        "preview", few_digits, "--out", out, "--model", "eficientnet_lite0"
    )
    (tmp_path / "photos" / "one").mkdir(parents=True)
    shutil.copy(next((few_digits / "train" / "0").iterdir()), tmp_path / "photos" / "one")
    assert "a classifier needs at least two" in refusal("preview", tmp_path / "photos", "--out", out)
    assert not out.exists()


def test_preview_writes_nothing_but_a_png(few_digits: Path, tmp_path: Path) -> None:
    message = refusal("preview", few_digits, "--out", tmp_path / "sheet.jpg")
    assert message == f"expected a file name that ends in .png, got {tmp_path}/sheet.jpg; use {tmp_path}/sheet.png"
    assert list(tmp_path.iterdir()) == []

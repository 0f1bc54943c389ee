from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import InputError, ModelFileError
from edgecnn.core.model_file.model_file import append_associated_files, read_model_file
from edgecnn.core.preprocess import Image
from edgecnn.runtime.inference.classifier import Classifier, load_model
from edgecnn.runtime.inference.delegate import KNOWN_LIBRARIES, DelegateRequest, open_delegated, parse_delegate
from tests.pixel_model import pixel_card, pixel_model, write_pixel_model

SOURCE = Path(__file__).with_name("plugin_delegate.c")
PICTURE: Image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)


def compiled(path: Path, *flags: str, source: Path = SOURCE) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("cc is not installed: this test compiles a delegate")
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", *flags, "-o", path, source], check=True)
    return path


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("delegate") / "libplugin.so")


@pytest.fixture
def pixels(tmp_path: Path) -> Path:
    return write_pixel_model(tmp_path, 2, 3)


def compiled_model(folder: Path) -> Path:
    """Write a model as a compiler for an accelerator would: with one operator that no runtime knows."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(pixel_model(2, 3)))
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "accelerator-op"
    operator = model.subgraphs[0].operators[0]
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.NONE, None
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path = folder / "compiled.tflite"
    path.write_bytes(append_associated_files(bytes(builder.Output()), pixel_card(2, 3)))
    return path


def test_auto_and_a_library_with_or_without_options_are_parsed() -> None:
    assert parse_delegate("auto") == DelegateRequest(None)
    assert parse_delegate("libedgetpu.so.1") == DelegateRequest("libedgetpu.so.1")
    assert parse_delegate("/opt/a b.so:device=usb:0, x = ") == DelegateRequest(
        "/opt/a b.so", (("device", "usb:0"), ("x", " "))
    )


def test_a_value_may_contain_commas_and_equals_signs() -> None:
    request = parse_delegate("libarmnnDelegate.so:backends=GpuAcc,CpuAcc,CpuRef,define=a=b")
    assert request.options == (("backends", "GpuAcc,CpuAcc,CpuRef"), ("define", "a=b"))


names = st.text(st.characters(codec="utf-8", exclude_characters=",=:", exclude_categories=("C", "Z")), min_size=1)


@given(library=names, options=st.dictionaries(names, st.lists(names, min_size=1).map(",".join), min_size=1))
def test_any_library_and_options_survive_a_round_trip(library: str, options: dict[str, str]) -> None:
    text = f"{library}:" + ",".join(f"{key}={value}" for key, value in options.items())
    assert parse_delegate(text) == DelegateRequest(library, tuple(options.items()))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected --delegate as a library such as libedgetpu.so.1, or auto, got ''"),
        (":a=1", "expected --delegate as a library"),
        ("a\nb.so", "expected --delegate as a library"),
        ("auto:a=1", "auto takes no options, got 'a=1'"),
        ("a.so:", "expected options of a delegate as key=value,key=value, each key once, got ''"),
        ("a.so:usb", "got 'usb'"),
        ("a.so:=1", "got '=1'"),
        ("a.so:a=1,a=2", "each key once"),
        ("a.so:a=1,", "got 'a=1,'"),
    ],
)
def test_an_invalid_delegate_option_is_rejected_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        parse_delegate(text)
    assert "\n" not in str(caught.value)


def test_a_delegate_receives_its_options_runs_the_model_and_is_destroyed_after_it(
    plugin: Path, pixels: Path, tmp_path: Path
) -> None:
    record = tmp_path / "record"
    classifier = Classifier(
        read_model_file(pixels), delegate=parse_delegate(f"{plugin}:record={record},device=usb:0,list=a,b")
    )
    assert classifier.delegate == "libplugin.so"
    expected = Classifier(read_model_file(pixels)).probabilities(PICTURE)
    np.testing.assert_array_equal(classifier.probabilities(PICTURE), expected)
    given = [f"record={record}", "device=usb:0", "list=a,b"]
    assert record.read_text().splitlines() == [*given, "kernel=ran"]
    del classifier
    gc.collect()
    assert record.read_text().splitlines() == [*given, "kernel=ran", "kernel=freed", "delegate=destroyed"]


def test_without_a_request_the_classifier_has_no_delegate(pixels: Path) -> None:
    assert Classifier(read_model_file(pixels)).delegate is None


def test_a_model_compiled_for_a_delegate_runs_only_with_it(plugin: Path, tmp_path: Path) -> None:
    model = load_model(compiled_model(tmp_path))
    assert Classifier(model, delegate=DelegateRequest(str(plugin))).classify(PICTURE).best.label == "byte 17"
    with pytest.raises(ModelFileError, match="accelerator-op"):
        Classifier(model)


def test_output_of_a_delegate_while_it_opens_is_hidden(
    plugin: Path, pixels: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    open_delegated(pixels, threads=1, request=DelegateRequest(str(plugin), (("say", "hello"),)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("fail=create", "the delegate .*libplugin.so does not start: the plugin found no device; check its device"),
        ("fail=silently", "libplugin.so does not start: no reason given; check its device"),
        ("fail=prepare", "with libplugin.so cannot run .*: the plugin cannot use this model.*leave --delegate out"),
        ("take=nothing", "libplugin.so can run no part of .*; use a model compiled for it .*or leave --delegate out"),
    ],
)
def test_a_delegate_that_cannot_be_used_is_a_one_line_error(
    options: str, complaint: str, plugin: Path, pixels: Path
) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        open_delegated(pixels, threads=1, request=parse_delegate(f"{plugin}:{options}"))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_library_that_is_missing_or_not_a_delegate_is_a_one_line_error_and_leaves_nothing_behind(
    pixels: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.so"
    text.write_text("no library\n")
    source = tmp_path / "foreign.c"
    source.write_text("int nothing;\n")
    foreign = compiled(tmp_path / "foreign.so", source=source)
    for library, complaint in {
        "libmissing.so": "cannot load the delegate libmissing.so: cannot open shared object file.*; install it, give",
        str(text): "cannot load the delegate .*text.so: .*; install it, give its path, or leave --delegate out",
        str(foreign): "foreign.so is not a TFLite delegate, it has no tflite_plugin_create_delegate; use another",
    }.items():
        with pytest.raises(InputError, match=complaint) as caught:
            open_delegated(pixels, threads=1, request=DelegateRequest(library))
        assert "\n" not in str(caught.value)
    gc.collect()


def opened_by_auto(model: Path, libraries: Path) -> subprocess.CompletedProcess[str]:
    """Run `--delegate auto` in a process whose loader looks for the known libraries in a folder first."""
    program = (
        "import sys; from edgecnn.runtime.inference.classifier import Classifier, load_model;"
        "from edgecnn.runtime.inference.delegate import parse_delegate;"
        "print(Classifier(load_model(sys.argv[1]), delegate=parse_delegate('auto')).delegate)"
    )
    environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}
    return subprocess.run(
        [sys.executable, "-c", program, model], env=environment, capture_output=True, text=True, check=True
    )


def test_auto_uses_the_first_known_delegate_that_can_run_the_model(pixels: Path, tmp_path: Path) -> None:
    compiled(tmp_path / KNOWN_LIBRARIES[0], "-DIDLE")
    compiled(tmp_path / KNOWN_LIBRARIES[1])
    answer = opened_by_auto(pixels, tmp_path)
    assert (answer.stdout, answer.stderr) == (f"{KNOWN_LIBRARIES[1]}\n", "")


def test_auto_falls_back_to_the_processor_silently(pixels: Path, tmp_path: Path) -> None:
    compiled(tmp_path / KNOWN_LIBRARIES[0], "-DIDLE")
    (tmp_path / KNOWN_LIBRARIES[1]).write_text("no library\n")
    answer = opened_by_auto(pixels, tmp_path)
    assert (answer.stdout, answer.stderr) == ("None\n", "")

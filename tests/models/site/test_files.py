"""TorchScript, ONNX and DenseNet files: what they may hold, and that they run."""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from models.catalog import Catalogue
from models.site import densenet_cxr, onnx_file, onnx_scan, torchscript
from models.site.bring import bring
from models.site.dry_run import Outcome
from models.site.errors import ModelRefused
from tests.models.site.makers import (
    Mean,
    bright_box,
    classification_card,
    imported,
    radiograph,
    script,
    segmentation_card,
    slanted,
)
from tests.models.site.test_bundle import unet


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root" / "models"


def network(*, domain: str = "", operator: str = "Neg", nested: bool = False) -> Any:
    """Logits of two channels: the image is bright or it is not, as nodes of ONNX."""
    half = numpy_helper.from_array(np.array(0.5, dtype=np.float32), "half")
    scale = numpy_helper.from_array(np.array(50.0, dtype=np.float32), "scale")
    nodes = [
        helper.make_node("Sub", ["image", "half"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "scale"], ["bright"]),
        helper.make_node(operator, ["bright"], ["dark"], domain=domain),
        helper.make_node("Concat", ["dark", "bright"], ["logits"], axis=1),
    ]
    if nested:
        branch = helper.make_graph([helper.make_node("Evil", ["image"], ["x"], domain="evil")], "b", [],
                                   [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)])  # fmt: skip
        nodes.append(helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch))
    shape: list[str | int | None] = [1, 1, "a", "b", "c"]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2, "a", "b", "c"])],
        [half, scale],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def folder_of(path: Path, made: Any, card: str | None = None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "model.onnx").write_bytes(made.SerializeToString())
    (path / "model.toml").write_text(card or segmentation_card("onnx"), encoding="utf-8")
    return path


def test_an_onnx_model_draws_on_the_grid_of_the_input(tmp_path: Path, root: Path) -> None:
    imported(folder_of(tmp_path / "m", network()), root)
    volume, inside = bright_box(slanted((20, 40, 44)))

    prediction = Catalogue(root).load("bright", "cpu").predict(volume)

    assert prediction.labels is not None
    drawn = prediction.labels == 1
    assert 2 * (drawn & inside).sum() / (drawn.sum() + inside.sum()) > 0.95


@pytest.mark.parametrize("nested", [False, True])
def test_an_operator_that_onnxruntime_does_not_bring_is_refused(tmp_path: Path, root: Path, nested: bool) -> None:
    made = network(nested=True) if nested else network(domain="evil", operator="Evil")

    with pytest.raises(ModelRefused, match="evil::Evil"):
        imported(folder_of(tmp_path / "m", made), root)


@pytest.mark.parametrize("place", ["../weights.bin", "/etc/passwd", "missing.bin"])
def test_tensors_outside_the_folder_are_refused(tmp_path: Path, root: Path, place: str) -> None:
    made = network()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", place
    (tmp_path / "weights.bin").write_bytes(bytes(64))

    with pytest.raises(ModelRefused, match="keeps tensors elsewhere"):
        imported(folder_of(tmp_path / "m", made), root)


def test_tensors_in_a_file_beside_the_model_are_read(tmp_path: Path, root: Path) -> None:
    made = network()
    folder = folder_of(tmp_path / "m", made)
    onnx.save_model(
        made, str(folder / "model.onnx"), save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    assert (folder / "weights.bin").is_file()

    imported(folder, root)

    assert Catalogue(root).load("bright", "cpu").predict(bright_box(slanted())[0]).findings


def test_the_scan_sees_every_operator_that_the_library_sees(tmp_path: Path) -> None:
    made = network(nested=True)
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())

    asked = onnx_scan.scan(path)

    assert asked.operators == {("", "Sub"), ("", "Mul"), ("", "Neg"), ("", "Concat"), ("", "If"), ("evil", "Evil")}


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200))
def test_bytes_that_are_no_onnx_are_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("scan") / "m.onnx"
    path.write_bytes(data)

    with contextlib.suppress(ModelRefused):
        onnx_scan.scan(path)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 400), value=st.integers(0, 255))
def test_a_damaged_onnx_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, place: int, value: int) -> None:
    data = bytearray(network().SerializeToString())
    data[place % len(data)] = value
    path = tmp_path_factory.mktemp("scan") / "m.onnx"
    path.write_bytes(bytes(data))

    with contextlib.suppress(ModelRefused):
        onnx_file.inspect(path.parent, path)


def archived(path: Path, source: str, name: str = "__torch__.py") -> Path:
    """A TorchScript archive whose code is ``source``."""
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"m/code/{name}", source)
        made.writestr("m/constants.pkl", b"x")
        made.writestr("m/data.pkl", b"x")
    return path


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = ops.evil.run(1)", "evil::run"),
        ("x = torch.from_file('/etc/passwd')", "from_file"),
        ("x = torch.save(y, '/tmp/x')", "save"),
        ("x = __torch__.torch.classes.evil.Thing()", "evil"),
    ],
)
def test_code_in_torchscript_that_is_not_pytorchs_own_is_refused_before_it_is_loaded(
    tmp_path: Path, source: str, said: str
) -> None:
    with pytest.raises(ModelRefused, match=said):
        torchscript.inspect(archived(tmp_path / "m.ts", source))


def test_code_in_a_folder_that_is_left_out_elsewhere_is_looked_at(tmp_path: Path) -> None:
    path = archived(tmp_path / "m.ts", "x = ops.evil.run(1)", "__torch__/__pycache__/a.py")

    with pytest.raises(ModelRefused, match="evil::run"):
        torchscript.inspect(path)


def test_a_pickled_network_is_no_torchscript(tmp_path: Path, root: Path) -> None:
    folder = script(tmp_path / "m", Mean(), classification_card("torchscript"))
    torch.save(Mean(), folder / "model.ts")

    with pytest.raises(ModelRefused, match=r"torch\.jit\.script"):
        imported(folder, root)


def test_the_operators_of_a_real_network_pass(tmp_path: Path) -> None:
    made: Any = torch.jit.trace(unet(), torch.zeros(1, 1, 16, 16, 16))  # type: ignore[no-untyped-call]
    made.save(str(tmp_path / "m.ts"))

    torchscript.inspect(tmp_path / "m.ts")


def untried(*given: Any) -> Outcome:
    """In place of a dry run: ten crops of a large network take seconds."""
    return Outcome("", 0.0, 0.0, 0.0, "cpu", (), (), ())


def densenet_card(kind: str, more: str = "") -> str:
    return (
        f'[model]\nname = "cxr"\nversion = "1"\ntitle = "Chest"\nlicence = "x"\n'
        f'[input]\nmin_pixels = 64\n[engine]\nkind = "{kind}"\n{more}'
    )


def test_weights_of_the_chexnet_family_fit_and_give_fourteen_findings(tmp_path: Path, root: Path) -> None:
    torch.manual_seed(0)
    net = densenet_cxr.DenseNet121(14, 3).eval()
    # As the published files name them: wrapped twice, norm.1 for norm1, a classifier in a row.
    named = {}
    for name, value in net.state_dict().items():
        old = name.replace("classifier.", "classifier.0.")
        for part in ("norm1", "norm2", "conv1", "conv2"):
            old = old.replace(f".{part}.", f".{part[:-1]}.{part[-1]}.") if "denselayer" in old else old
        named[f"module.densenet121.{old}"] = value
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.toml").write_text(densenet_card("chexnet"), encoding="utf-8")
    torch.save({"state_dict": named, "epoch": 3}, folder / "chexnet.pth.tar")
    bring(folder, root, device="cpu", trial=untried)
    model = Catalogue(root).load("cxr", "cpu")

    prediction = model.predict(radiograph((280, 256)))

    assert [item.label for item in model.card.results] == [
        name.lower().replace("_", "-") for name in densenet_cxr.CLASSES["chexnet"]
    ]
    assert len(prediction.findings) == 14
    image = torch.from_numpy(radiograph((280, 256)).array)[None, None].repeat(1, 3, 1, 1)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    image = (image - mean) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    corners = [image[..., r : r + 224, c : c + 224] for r, c in ((0, 0), (0, 32), (56, 0), (56, 32), (28, 16))]
    with torch.inference_mode():
        wanted = torch.sigmoid(net(torch.cat([*corners, *(crop.flip(-1) for crop in corners)]))).mean(0)
    found = [prediction.scores[item.label] for item in model.card.results]
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def test_weights_of_the_torchxrayvision_family_fit_and_are_calibrated(tmp_path: Path, root: Path) -> None:
    torch.manual_seed(0)
    net = densenet_cxr.DenseNet121(18, 1).eval()
    points = torch.full((18,), 0.25)
    points[3] = torch.nan
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.toml").write_text(densenet_card("torchxrayvision"), encoding="utf-8")
    torch.save({**net.state_dict(), "op_threshs": points}, folder / "all.pt")
    imported(folder, root)
    model = Catalogue(root).load("cxr", "cpu")

    prediction = model.predict(radiograph((224, 224)))

    with torch.inference_mode():
        raw = torch.sigmoid(net((torch.from_numpy(radiograph((224, 224)).array)[None, None] * 2 - 1) * 1024))[0].numpy()
    wanted = np.where(raw < 0.25, raw / 0.5, 1 - (1 - raw) / 1.5)
    wanted[3] = raw[3]
    found = [prediction.scores[item.label] for item in model.card.results]
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    codes = {item.label: item.code.value for item in model.card.results}
    assert codes["pneumothorax"] == "36118008"
    assert codes["lung-opacity"] == "112120"
    assert next(item.code.scheme for item in model.card.results if item.label == "hernia") == "99OVERREAD"


def test_weights_of_another_network_are_no_densenet(tmp_path: Path, root: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.toml").write_text(densenet_card("chexnet"), encoding="utf-8")
    torch.save({"conv.weight": torch.zeros(3)}, folder / "w.pt")

    with pytest.raises(ModelRefused, match="is no chexnet"):
        imported(folder, root)


def test_a_tensor_at_an_address_in_memory_is_refused(tmp_path: Path) -> None:
    model = network()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="*/_ORT_MEM_ADDR_/*")
    (tmp_path / "*" / "_ORT_MEM_ADDR_").mkdir(parents=True)
    (tmp_path / "*" / "_ORT_MEM_ADDR_" / "*").write_bytes(b"x")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(ModelRefused, match="address in memory"):
        onnx_file.inspect(tmp_path, tmp_path / "m.onnx")


def test_a_file_whose_name_would_have_it_read_as_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.ort").write_bytes(network().SerializeToString())

    with pytest.raises(ModelRefused, match=r"end in \.onnx"):
        onnx_file.inspect(tmp_path, tmp_path / "m.ort")

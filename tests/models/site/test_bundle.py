"""MONAI bundles, in the model zoo's layout: what is understood runs, what is not is refused by name."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.apps.detection.transforms.array import AffineBox
from monai.inferers.inferer import SlidingWindowInferer
from monai.networks.nets.densenet import DenseNet121
from monai.networks.nets.unet import UNet
from monai.transforms.compose import Compose
from monai.transforms.intensity.dictionary import ScaleIntensityRanged
from monai.transforms.post.dictionary import Activationsd, AsDiscreted, Invertd
from monai.transforms.spatial.dictionary import Orientationd, Spacingd

from models.catalog import Catalogue
from models.codes import LONG_AXIS
from models.contracts import Geometry, RegionKind
from models.site.answers import Boxes, detected
from models.site.bundle_network import make
from models.site.bundle_values import Built
from models.site.card import SiteCard, validated
from models.site.coding import meanings
from models.site.errors import ModelRefused
from models.site.step_grids import Orient, Spacing
from models.site.steps import prepare
from models.site.working import of_volume
from tests.models.site.makers import CARD, bright_box, bundle, imported, radiograph, slanted
from tests.models.site.test_steps import as_monai, world

UNET = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [4, 8],
    "strides": [2],
    "num_res_units": 1,
    "norm": "batch",
}
PREPARING: list[dict[str, Any]] = [
    {"_target_": "EnsureChannelFirstd", "keys": "image"},
    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
    {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"},
    {
        "_target_": "ScaleIntensityRanged",
        "keys": "image",
        "a_min": -200,
        "a_max": 900,
        "b_min": 0,
        "b_max": 1,
        "clip": True,
    },
    {"_target_": "EnsureTyped", "keys": "image"},
]
FINISHING = [
    {"_target_": "Activationsd", "keys": "pred", "softmax": True},
    {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image",
     "nearest_interp": False, "to_tensor": True},
    {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
    {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "output_dtype": "$numpy.float32"},
]  # fmt: skip
SPLEEN = {
    "type": "image",
    "format": "segmentation",
    "num_channels": 2,
    "channel_def": {"0": "background", "1": "spleen"},
}
WINDOW = {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 2, "overlap": 0.5}


def unet() -> UNet:
    torch.manual_seed(0)
    return UNet(3, 1, 2, (4, 8), (2,), num_res_units=1, norm="batch").eval()


def spleen_bundle(folder: Path, **changes: Any) -> Path:
    given: dict[str, Any] = {
        "preprocessing": PREPARING,
        "postprocessing": FINISHING,
        "answer": SPLEEN,
        "inferer": WINDOW,
        "more": {},
    }
    return bundle(folder, changes.pop("network", UNET), unet().state_dict(), **(given | changes))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root" / "models"


def test_a_segmentation_gives_what_monai_gives_with_the_same_bundle(tmp_path: Path, root: Path) -> None:
    brought = imported(spleen_bundle(tmp_path / "spleen_ct_segmentation"), root)
    volume, _ = bright_box(slanted((20, 40, 44)))
    preparing = Compose(
        [
            Orientationd("image", axcodes="RAS"),
            Spacingd("image", pixdim=(1.5, 1.5, 2.0), mode="bilinear"),
            ScaleIntensityRanged("image", -200, 900, 0, 1, clip=True),
        ]
    )
    data: Any = preparing({"image": as_monai(volume)})
    with torch.inference_mode():
        data["pred"] = SlidingWindowInferer((16, 16, 16), 2, 0.5)(data["image"][None], unet())[0]
    finishing = Compose(
        [
            Activationsd("pred", softmax=True),
            Invertd("pred", preparing, "image", nearest_interp=False),
            AsDiscreted("pred", argmax=True),
        ]
    )
    wanted = finishing(data)["pred"][0].numpy().transpose(2, 1, 0)

    prediction = Catalogue(root).load(brought.card.name, "cpu").predict(volume)

    assert prediction.labels is not None
    assert 0.02 < wanted.mean() < 0.98
    assert (prediction.labels == wanted).mean() > 0.999
    assert (brought.card.name, brought.card.version) == ("spleen-ct-segmentation", "0.3.1")
    assert [item.type.value for item in brought.card.outputs] == ["78961009"]
    assert brought.card.metrics == {"of its maker": {"mean_dice": 0.5}}


def test_a_classification_gives_what_its_network_gives(tmp_path: Path, root: Path) -> None:
    network = {"_target_": "monai.networks.nets.DenseNet121", "spatial_dims": 2, "in_channels": 1, "out_channels": 3}
    torch.manual_seed(0)
    net = DenseNet121(spatial_dims=2, in_channels=1, out_channels=3).eval()
    folder = bundle(
        tmp_path / "density",
        network,
        net.state_dict(),
        preprocessing=[
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "ScaleIntensityd", "keys": "image", "minv": 0.0, "maxv": 1.0},
            {"_target_": "Resized", "keys": "image", "spatial_size": [64, 48]},
        ],
        postprocessing=[
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        ],
        answer={"type": "probabilities", "format": "classes", "channel_def": {"0": "A", "1": "B", "2": "C"}},
        shape=(64, 48),
        modality="MG",
    )
    (folder / "model.toml").write_text('[model]\nlicence = "x"\n[input]\nmodality = ["DX", "MG"]\n', encoding="utf-8")
    imported(folder, root)
    source = radiograph()

    prediction = Catalogue(root).load("density", "cpu").predict(source)

    image = torch.from_numpy(source.array.T.copy())[None, None]
    image = (image - image.min()) / (image.max() - image.min())
    with torch.inference_mode():
        wanted = torch.softmax(net(torch.nn.functional.interpolate(image, (64, 48), mode="area")), 1)[0].numpy()
    found = np.array([prediction.scores[label] for label in ("A", "B", "C")])
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert [finding.present for finding in prediction.findings] == [True, False, False]
    assert prediction.findings[0].label == "ABC"[int(wanted.argmax())]


DETECTOR: dict[str, Any] = {
    "anchor_generator": {
        "_target_": "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape",
        "feature_map_scales": [1, 2],
        "base_anchor_shapes": [[6, 8, 4], [8, 6, 5]],
    },
    "infer_patch_size": [32, 32, 32],
    "backbone": "$monai.networks.nets.resnet.resnet10(spatial_dims=3,n_input_channels=1,"
    "conv1_t_stride=[2,2,2],conv1_t_size=[7,7,7])",
    "feature_extractor": "$monai.apps.detection.networks.retinanet_network."
    "resnet_fpn_feature_extractor(@backbone,3,False,[2],None)",
    "detector": {
        "_target_": "RetinaNetDetector",
        "network": "@network",
        "anchor_generator": "@anchor_generator",
        "debug": False,
    },
    "detector_ops": [
        "$@detector.set_target_keys(box_key='box', label_key='label')",
        "$@detector.set_box_selector_parameters(score_thresh=0.0,topk_candidates_per_level=20,nms_thresh=0.22,detections_per_img=5)",
        "$@detector.set_sliding_window_inferer(roi_size=@infer_patch_size,overlap=0.25,sw_batch_size=1,mode='constant',device='cpu')",
    ],
}
RETINANET = {
    "_target_": "RetinaNet",
    "spatial_dims": 3,
    "num_classes": 1,
    "num_anchors": 2,
    "feature_extractor": "@feature_extractor",
    "size_divisible": [16, 16, 8],
}


def test_a_box_lies_where_monai_says_it_lies() -> None:
    affine = np.array([[0, 0, 0.9, -20], [0, 1.1, 0, -30], [3.0, 0, 0, 7], [0, 0, 0, 1]])
    volume = bright_box(Geometry(affine, (20, 24, 28)))[0]
    image = prepare(of_volume(volume), (Orient(axes="RAS"), Spacing(mm=(1.5, 1.5, 2.0))))
    given = validated(SiteCard, tomllib.loads(DETECTION_CARD), "card")
    box = np.array([[2.0, 3.0, 4.0, 9.0, 8.0, 7.0]])

    [finding] = detected(Boxes(box, np.array([0]), np.array([0.9])), image, given, meanings(given)).findings

    wanted = np.asarray(AffineBox()(torch.from_numpy(box), torch.from_numpy(world(image))))[0]
    points = np.array(finding.regions[0].points) * (-1, -1, 1)
    np.testing.assert_allclose(np.concatenate([points.min(0), points.max(0)]), wanted, atol=1e-3)
    assert finding.measurements[0].value == pytest.approx(max(wanted[3:] - wanted[:3]), abs=1e-3)


DETECTION_CARD = """
[model]
name = "boxes"
version = "1"
title = "Boxes"
licence = "x"
[input]
modality = "CT"
[engine]
kind = "bundle"
task = "detection"
[[outputs]]
label = "nodule"
"""


def test_a_detection_reports_its_boxes_in_the_patient(tmp_path: Path, root: Path) -> None:
    backbone = Built("resnet10", (), {"spatial_dims": 3, "n_input_channels": 1, "conv1_t_stride": [2, 2, 2],
                                      "conv1_t_size": [7, 7, 7]})  # fmt: skip
    extractor = Built("resnet_fpn_feature_extractor", (backbone, 3, False, [2], None))
    torch.manual_seed(0)
    net = make(
        Built(
            "RetinaNet", (), {**{k: v for k, v in RETINANET.items() if k != "_target_"}, "feature_extractor": extractor}
        )
    )
    folder = bundle(
        tmp_path / "lung_nodule_ct_detection",
        RETINANET,
        net.state_dict(),
        preprocessing=PREPARING,
        postprocessing=[{"_target_": "ClipBoxToImaged", "box_keys": "box"}],
        answer={"type": "object", "format": "dict", "num_channels": 1},
        inferer={"_target_": "scripts.detection_inferer.RetinaNetInferer", "detector": "@detector"},
        more=DETECTOR,
    )
    card = CARD + '[engine]\nscore_threshold = 0.0\nmax_detections = 3\n[[outputs]]\nlabel = "nodule"\n'
    (folder / "model.toml").write_text(card + 'code = "27925004"\nmeaning = "Nodule"\n', encoding="utf-8")
    imported(folder, root)
    volume, _ = bright_box(slanted((20, 48, 50)))

    prediction = Catalogue(root).load("lung-nodule-ct-detection", "cpu").predict(volume)

    assert 1 <= len(prediction.findings) <= 3
    corners = np.array([[k, r, c, 1] for k in (-2, 21) for r in (-2, 49) for c in (-2, 51)]) @ volume.geometry.affine.T
    for finding in prediction.findings:
        [region] = finding.regions
        assert region.kind is RegionKind.ELLIPSOID
        points = np.array(region.points)
        assert (points >= corners[:, :3].min(0) - 1).all()
        assert (points <= corners[:, :3].max(0) + 1).all()
        longest = max(np.linalg.norm(points[place] - points[place + 1]) for place in (0, 2, 4))
        assert finding.measurements[0].name == LONG_AXIS
        assert finding.measurements[0].value == pytest.approx(longest)
        assert finding.code.value == "27925004"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": {"_target_": "os.system", "command": "touch /tmp/evil"}}, r"os\.system"),
        ({"network": {"_target_": "scripts.net.Mine"}}, r"scripts\.net\.Mine"),
        ({"network": {**UNET, "act": {"_target_": "builtins.exec", "x": "1"}}}, r"builtins\.exec"),
        ({"network": "$__import__('os').system('touch /tmp/evil')"}, "not understood"),
        ({"network": "$eval('1')"}, "eval"),
        ({"network": {**UNET, "out_channels": "$[x for x in [2]][0]"}}, "not understood"),
        ({"network": {**UNET, "out_channels": "$2 ** 99999999"}}, "not understood"),
        ({"network": {**UNET, "out_channels": "$(lambda: 2)()"}}, "not understood"),
        ({"network": {**UNET, "channels": "@missing"}}, "missing"),
        ({"network": "@network"}, "circle"),
        ({"preprocessing": [{"_target_": "Lambdad", "keys": "image", "func": "$print"}]}, "Lambdad"),
        ({"preprocessing": [{"_target_": "Spacingd", "keys": "x", "pixdim": [1, 1, 1], "mode": "bicubic"}]}, "bicubic"),
        ({"preprocessing": [{"_target_": "Orientationd", "keys": "image", "axcodes": "RAS", "odd": 1}]}, "'odd'"),
        ({"preprocessing": [{"_target_": "Spacingd", "keys": "image", "pixdim": "$open('/etc/passwd')"}]}, "Spacingd"),
        ({"preprocessing": [{**PREPARING[2], "_disabled_": "@done"}], "more": {"done": True}}, "off by '@done'"),
        ({"postprocessing": [{"_target_": "scripts.Post"}]}, r"scripts\.Post"),
        ({"postprocessing": [{"_target_": "Activationsd", "other": "$print"}]}, "function of its own"),
        ({"inferer": {"_target_": "scripts.Infer"}}, r"scripts\.Infer"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_its_name_and_nothing_runs(
    tmp_path: Path, root: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ModelRefused, match=said):
        imported(spleen_bundle(tmp_path / "spleen", **changes), root)
    assert not Path("/tmp/evil").exists()  # noqa: S108
    assert Catalogue(root).site_names() == ()


class Hostile:
    def __reduce__(self) -> Any:
        return (print, ("unpickled",))


def test_weights_that_hold_objects_are_refused(tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = spleen_bundle(tmp_path / "spleen")
    torch.save({"model": Hostile()}, folder / "models" / "model.pt")

    with pytest.raises(ModelRefused, match="more than tensors"):
        imported(folder, root)
    assert "unpickled" not in capsys.readouterr().out


def test_weights_of_another_network_are_refused_with_the_first_tensor(tmp_path: Path, root: Path) -> None:
    with pytest.raises(ModelRefused, match=r"tensors differ, the first is model\."):
        imported(spleen_bundle(tmp_path / "spleen", network={**UNET, "channels": [4, 6]}), root)


def test_a_network_that_asks_for_more_than_any_machine_has_is_refused_before_it_is_made(
    tmp_path: Path, root: Path
) -> None:
    with pytest.raises(ModelRefused):
        imported(spleen_bundle(tmp_path / "spleen", network={**UNET, "channels": [100_000, 200_000]}), root)


def test_a_configuration_in_yaml_is_read_too(tmp_path: Path, root: Path) -> None:
    import yaml  # type: ignore[import-untyped]

    folder = spleen_bundle(tmp_path / "spleen")
    path = folder / "configs" / "inference.json"
    path.with_suffix(".yaml").write_text(yaml.safe_dump(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    path.unlink()

    assert imported(folder, root).new


def test_a_bundle_that_ships_torchscript_alone_runs_by_it(tmp_path: Path, root: Path) -> None:
    folder = spleen_bundle(tmp_path / "spleen", network={"_target_": "scripts.net.Mine"})
    (folder / "models" / "model.pt").unlink()
    torch.jit.trace(unet(), torch.zeros(1, 1, 16, 16, 16)).save(str(folder / "models" / "model.ts"))  # type: ignore[no-untyped-call]

    imported(folder, root)
    one = Catalogue(root).load("spleen", "cpu").predict(bright_box(slanted())[0])
    shutil.rmtree(root)
    imported(spleen_bundle(tmp_path / "again" / "spleen"), root)
    other = Catalogue(root).load("spleen", "cpu").predict(bright_box(slanted())[0])

    assert one.labels is not None
    assert other.labels is not None
    assert np.array_equal(one.labels, other.labels)


def test_several_channels_are_refused(tmp_path: Path, root: Path) -> None:
    folder = spleen_bundle(tmp_path / "spleen")
    path = folder / "configs" / "metadata.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"num_channels": 1', '"num_channels": 4'), encoding="utf-8"
    )

    with pytest.raises(ModelRefused, match="4 channels"):
        imported(folder, root)


def test_the_card_of_a_bundle_does_not_prepare_its_input(tmp_path: Path, root: Path) -> None:
    folder = spleen_bundle(tmp_path / "spleen")
    (folder / "model.toml").write_text('[model]\nlicence = "x"\n[input]\norientation = "RAS"\n', encoding="utf-8")

    with pytest.raises(ModelRefused, match=r"input\.orientation"):
        imported(folder, root)


def test_a_step_that_is_switched_off_is_switched_on_by_the_card(tmp_path: Path, root: Path) -> None:
    switched = [*PREPARING[:2], {**PREPARING[2], "_disabled_": "$not @raw"}, *PREPARING[3:]]
    folder = spleen_bundle(tmp_path / "spleen", preprocessing=switched, more={"raw": False})
    with pytest.raises(ModelRefused, match="switched off"):
        imported(folder, root)
    (folder / "model.toml").write_text(CARD + "[engine]\noverrides = { raw = true }\n", encoding="utf-8")

    imported(folder, root)
    one = Catalogue(root).load("spleen", "cpu").predict(bright_box(slanted())[0])
    shutil.rmtree(root)
    imported(spleen_bundle(tmp_path / "again" / "spleen"), root)
    other = Catalogue(root).load("spleen", "cpu").predict(bright_box(slanted())[0])

    assert one.labels is not None
    assert other.labels is not None
    assert np.array_equal(one.labels, other.labels)


@pytest.mark.parametrize("value", ['"$open()"', '"@x"', '"%x"'])
def test_an_override_is_no_expression(tmp_path: Path, root: Path, value: str) -> None:
    folder = spleen_bundle(tmp_path / "spleen", more={"raw": False})
    (folder / "model.toml").write_text(CARD + f"[engine]\noverrides = {{ raw = {value} }}\n", encoding="utf-8")

    with pytest.raises(ModelRefused, match=r"engine\.overrides"):
        imported(folder, root)


def test_a_trusted_bundle_runs_its_own_code(tmp_path: Path, root: Path) -> None:
    plain = imported(spleen_bundle(tmp_path / "plain"), root)
    own = {"_target_": "scripts.net.Mine", "channels": "$[int(c) for c in ('4', '8')]"}
    folder = spleen_bundle(tmp_path / "trusted", network=own)
    (folder / "scripts").mkdir()
    (folder / "scripts" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "scripts" / "net.py").write_text(
        "from monai.networks.nets.unet import UNet\n\n\ndef Mine(channels):\n"
        "    return UNet(3, 1, 2, channels, (2,), num_res_units=1, norm='batch')\n",
        encoding="utf-8",
    )
    with pytest.raises(ModelRefused, match="trust = true"):
        imported(folder, root)
    (folder / "model.toml").write_text(CARD + '[engine]\nkind = "bundle"\ntrust = true\n', encoding="utf-8")
    trusted = imported(folder, root)
    volume, _ = bright_box(slanted((20, 40, 44)))

    one = Catalogue(root).load(plain.card.name, "cpu").predict(volume).labels
    other = Catalogue(root).load(trusted.card.name, "cpu").predict(volume).labels

    assert one is not None
    assert other is not None
    assert (one == other).mean() > 0.999

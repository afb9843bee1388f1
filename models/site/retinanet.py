"""RetinaNet of MONAI without torchvision, which MONAI asks for only to cut the backbone after its last level."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from models.site.bundle_values import Built
from models.site.errors import ModelRefused

#: Methods of the detector that a configuration calls, and the keywords that are taken over.
METHODS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "set_target_keys": frozenset(),
        "set_box_selector_parameters": frozenset(
            {"score_thresh", "topk_candidates_per_level", "nms_thresh", "detections_per_img", "apply_sigmoid"}
        ),
        "set_sliding_window_inferer": frozenset({"roi_size", "sw_batch_size", "overlap", "mode", "padding_mode"}),
    }
)


class Levels(nn.ModuleDict):
    """The first layers of a network up to the last wanted one; gives what the wanted ones give.

    The same as torchvision's ``IntermediateLayerGetter``, names of tensors included.
    """

    def __init__(self, network: nn.Module, wanted: Mapping[str, str]) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        left = set(wanted)
        for name, layer in network.named_children():
            layers[name] = layer
            left.discard(name)
            if not left:
                break
        super().__init__(layers)
        self._wanted = dict(wanted)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run the layers one after the other."""
        found: OrderedDict[str, torch.Tensor] = OrderedDict()
        for name, layer in self.items():
            image = layer(image)
            if name in self._wanted:
                found[self._wanted[name]] = image
        return found


class Pyramid(nn.Module):
    """Backbone with a feature pyramid: MONAI's ``BackboneWithFPN``, names of tensors included."""

    def __init__(self, backbone: Any, spatial_dims: int, levels: Sequence[int]) -> None:
        from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

        super().__init__()
        first = backbone.in_planes // 8
        self.body = Levels(backbone, {f"layer{level}": str(place) for place, level in enumerate(levels)})
        self.fpn = FeaturePyramidNetwork(
            spatial_dims=spatial_dims,
            in_channels_list=[first * 2 ** (level - 1) for level in levels],
            out_channels=256,
            extra_blocks=LastLevelMaxPool(spatial_dims),
        )
        self.out_channels = 256

    def forward(self, image: torch.Tensor) -> Any:
        """Feature maps, the finest first."""
        return self.fpn(self.body(image))


def feature_extractor(
    backbone: nn.Module,
    spatial_dims: int,
    pretrained_backbone: bool = False,
    returned_layers: Sequence[int] = (1, 2, 3),
    trainable_backbone_layers: int | None = None,
) -> Pyramid:
    """MONAI's ``resnet_fpn_feature_extractor``; what concerns training is ignored."""
    if not 0 < min(returned_layers) <= max(returned_layers) < 5:
        raise ModelRefused("a feature pyramid is made of the layers 1 to 4 of its backbone")
    return Pyramid(backbone, spatial_dims, list(returned_layers))


def _retinanet(**kwargs: Any) -> nn.Module:
    from monai.apps.detection.networks.retinanet_network import RetinaNet

    return RetinaNet(**kwargs)


def _anchors(**kwargs: Any) -> nn.Module:
    from monai.apps.detection.utils.anchor_utils import AnchorGenerator

    return AnchorGenerator(**kwargs)


def _shaped_anchors(**kwargs: Any) -> nn.Module:
    from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape

    return AnchorGeneratorWithAnchorShape(**kwargs)


MAKERS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "RetinaNet": _retinanet,
        "AnchorGenerator": _anchors,
        "AnchorGeneratorWithAnchorShape": _shaped_anchors,
        "resnet_fpn_feature_extractor": feature_extractor,
    }
)


def check_operations(operations: Sequence[Any]) -> None:
    """Refuse what a configuration does with its detector besides setting it up for inference."""
    for item in operations:
        if not isinstance(item, Built) or not item.target.startswith("@") or item.short not in METHODS:
            name = item.target if isinstance(item, Built) else str(item)[:80]
            raise ModelRefused(f"the bundle does {name!r} with its detector, which is not understood")


def detector(network: nn.Module, anchors: Any, operations: Sequence[Any]) -> Callable[[torch.Tensor], Any]:
    """Make the detector: image ``[1, 1, x, y, z]`` to a dictionary of box, label and label_scores."""
    from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector

    check_operations(operations)
    made = RetinaNetDetector(network=network, anchor_generator=anchors, debug=False)
    made.set_target_keys(box_key="box", label_key="label")
    for item in operations:
        taken = {key: value for key, value in item.kwargs.items() if key in METHODS[item.short]}
        if taken:
            getattr(made, item.short)(**taken)
    made.eval()

    def forward(image: torch.Tensor) -> Any:
        return made([image[0]], use_inferer=made.inferer is not None)[0]

    return forward

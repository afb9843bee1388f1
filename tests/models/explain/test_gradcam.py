from __future__ import annotations

import torch
from torch import nn

from models.explain.gradcam import grad_cam, to_unit


class Spotter(nn.Module):
    """Answers by the mean of its first map, less that of its second."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(1, 2, 1, bias=False)
        with torch.no_grad():
            self.maps.weight.copy_(torch.tensor([1.0, 0.5]).reshape(2, 1, 1, 1))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        means: torch.Tensor = self.maps(pictures).mean((2, 3))
        return means[:, :1] - means[:, 1:]


def spot(row: int, column: int) -> torch.Tensor:
    picture = torch.zeros(1, 1, 8, 8)
    picture[0, 0, row, column] = 1
    return picture


def test_the_map_is_where_the_answer_comes_from() -> None:
    network = Spotter()

    found = grad_cam(network, network.maps, torch.cat([spot(2, 5), spot(6, 1)]), lambda answer: answer[:, 0])

    assert [divmod(int(one.argmax()), 8) for one in found] == [(2, 5), (6, 1)]
    # Equation 1 and 2 by hand: the gradients' means are 1/64 and -1/64, the maps 1 and 0.5 at the spot.
    assert torch.allclose(found.sum((1, 2)), torch.tensor([0.5 / 64, 0.5 / 64]))


def test_what_speaks_against_the_answer_is_not_shown() -> None:
    network = Spotter()

    assert not grad_cam(network, network.maps, -spot(2, 5), lambda answer: answer[:, 0]).any()


def test_pictures_of_a_batch_do_not_touch_each_other() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    pictures = torch.randn(3, 1, 8, 8)

    together = grad_cam(network, network[0], pictures, lambda answer: answer[:, 1])
    alone = [grad_cam(network, network[0], one[None], lambda answer: answer[:, 1]) for one in pictures]

    assert torch.allclose(together, torch.cat(alone), atol=1e-6)


def test_a_network_is_left_as_it_was_also_within_inference_mode() -> None:
    network = Spotter()

    with torch.inference_mode():
        assert grad_cam(network, network.maps, spot(1, 1), lambda answer: answer[:, 0]).any()

    assert network.maps.weight.grad is None
    assert not network.maps._forward_hooks


def test_maps_are_scaled_to_one_and_an_empty_one_stays_empty() -> None:
    scaled = to_unit(torch.stack([spot(0, 0)[0, 0] * 7, torch.zeros(8, 8)]))

    assert scaled[0].max() == 1
    assert not scaled[1].any()

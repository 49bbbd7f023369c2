"""Weights of one architecture made to fit another, so that the network computes the same where it can.

A convolution's weight is scaled at run time by 1 / sqrt(fan_in) (equalised learning rate), so that a change
of the number of inputs is also a change of that factor.
"""

from collections.abc import Mapping
from math import sqrt

import torch
from torch import Tensor

from mura_jobs.gan.discriminator import LabelMapping
from mura_jobs.gan.generator import Z_DIM
from mura_jobs.gan.layers import normalise_second_moment

Tensors = Mapping[str, Tensor]

FC0 = "mapping.fc0"
EMBED = "mapping.embed"
OUT = "b4.out"


def generator_to_grey(name: str, tensor: Tensor) -> Tensor:
    """The last step to an image, from RGB to the mean of the channels; other tensors as they are."""
    if name.endswith((".torgb.weight", ".torgb.bias")) and len(tensor) == 3:
        return tensor.mean(0, keepdim=True)
    return tensor


def discriminator_to_grey(name: str, tensor: Tensor) -> Tensor:
    """The first step from an image, from RGB to what it makes of a grey RGB image; others as they are.

    The weights of the channels are summed, and divided by sqrt(3), which one input channel is not scaled by.
    """
    if name.endswith(".fromrgb.weight") and tensor.shape[1] == 3:
        return tensor.sum(1, keepdim=True) / sqrt(3)
    return tensor


def generator_without_labels(given: Tensors, chosen: int | None = None) -> dict[str, Tensor]:
    """A conditional generator as that of one label or of their mean: its embedding joins the bias."""
    embed, bias = given[f"{EMBED}.weight"], given[f"{EMBED}.bias"]
    embedded_LF = normalise_second_moment(embed.T / sqrt(embed.shape[1]) + bias)
    embedded_F = embedded_LF.mean(0) if chosen is None else embedded_LF[chosen]
    weight = given[f"{FC0}.weight"]
    of_z, of_label = weight[:, :Z_DIM], weight[:, Z_DIM:]
    changed = {
        f"{FC0}.weight": of_z * sqrt(Z_DIM / weight.shape[1]),
        f"{FC0}.bias": given[f"{FC0}.bias"] + of_label @ embedded_F / sqrt(weight.shape[1]),
    }
    return {name: value for name, value in {**given, **changed}.items() if not name.startswith(f"{EMBED}.")}


def generator_with_labels(given: Tensors, fan_in: int) -> dict[str, Tensor]:
    """An unconditional generator that takes labels and does not heed them yet. The embedding is not given."""
    of_z = given[f"{FC0}.weight"]
    weight = torch.zeros(len(of_z), fan_in)
    weight[:, : of_z.shape[1]] = of_z * sqrt(fan_in / of_z.shape[1])
    return {**given, f"{FC0}.weight": weight}


def discriminator_without_labels(given: Tensors) -> dict[str, Tensor]:
    """A conditional discriminator whose logit is the mean of the logits for each label."""
    labels, dim = given[f"{EMBED}.weight"].shape[1], given[f"{OUT}.weight"].shape[0]
    mapping = LabelMapping(labels, dim)
    own = {name.removeprefix("mapping."): v for name, v in given.items() if name.startswith("mapping.")}
    mapping.load_state_dict(own)
    with torch.no_grad():
        direction = mapping(torch.eye(labels)).mean(0) / sqrt(dim)
    rest = {name: value for name, value in given.items() if not name.startswith("mapping.")}
    return rest | {
        f"{OUT}.weight": (direction @ given[f"{OUT}.weight"])[None],
        f"{OUT}.bias": (direction @ given[f"{OUT}.bias"])[None],
    }


def discriminator_with_labels(given: Tensors) -> dict[str, Tensor]:
    """An unconditional discriminator without its last layer: a projection on labels is something else."""
    return {name: value for name, value in given.items() if not name.startswith(f"{OUT}.")}

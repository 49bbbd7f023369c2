from math import log2
from typing import Literal

import pytest
import torch
from torch import nn

from mura_jobs.gan.config import NetworkConfig
from mura_jobs.gan.discriminator import Discriminator, minibatch_std
from mura_jobs.gan.generator import Generator
from tests.gan.small import drawn, network_config


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def built(config: NetworkConfig) -> tuple[int, int]:
    with torch.device("meta"):
        return parameters(Generator(config)), parameters(Discriminator(config))


def full_size(resolution: int, channel_base: int, image_channels: int = 3, mapping: int = 8) -> NetworkConfig:
    return network_config(
        resolution=resolution,
        image_channels=image_channels,
        channel_base=channel_base,
        channel_max=512,
        mapping_layers=mapping,
        minibatch_std_group=4,
    )


def counted_by_hand(config: NetworkConfig) -> tuple[int, int]:
    """The layout of StyleGAN2's figures 2 and 7, layer by layer."""
    c, w = config.image_channels, 512
    widths = {2**k: config.channels(2**k) for k in range(2, int(log2(config.resolution)) + 1)}
    g = config.mapping_layers * (w * w + w) + widths[4] * 16
    d = c * widths[config.resolution] + widths[config.resolution]
    for side, n in widths.items():
        inputs = [n] if side == 4 else [widths[side // 2], n]
        for i in inputs:
            g += (w * i + i) + 9 * i * n + n + 1  # affine, weight, bias, noise strength
        g += (w * n + n) + c * n + c
        if side > 4:
            out = widths[side // 2]
            d += (9 * n * n + n) + (9 * n * out + out) + n * out
    n = widths[4]
    return g, d + 9 * (n + 1) * n + n + (16 * n * n + n) + (n + 1)


def test_parameter_counts_are_the_published_ones() -> None:
    """Config F at 1024² RGB: what the authors' StyleGAN2 prints."""
    assert built(full_size(1024, 32768)) == (30_370_060, 29_012_513)


@pytest.mark.parametrize("image_channels", [1, 3])
@pytest.mark.parametrize("mapping", [2, 8])
def test_parameter_counts_at_256_are_those_of_the_layout(image_channels: int, mapping: int) -> None:
    config = full_size(256, 16384, image_channels, mapping)
    assert built(config) == counted_by_hand(config)
    if (image_channels, mapping) == (3, 8):
        assert built(config) == (24_767_458, 24_001_089)


def test_weights_have_the_published_names() -> None:
    config = network_config(resolution=8)
    names = Generator(config).state_dict().keys()
    assert {
        "mapping.fc0.weight",
        "mapping.w_avg",
        "synthesis.b4.const",
        "synthesis.b8.torgb.affine.bias",
    } <= names
    assert {
        f"synthesis.b8.conv0.{name}"
        for name in ("affine.weight", "affine.bias", "weight", "noise_const", "noise_strength", "bias")
    } <= names


def test_an_image_does_not_depend_on_the_others_of_its_batch() -> None:
    generator = drawn(Generator(network_config())).double()
    z, stream = torch.randn(4, 512).double(), torch.Generator().manual_seed(0)
    noise = [maps.double() for maps in generator.random_noise(4, stream)]
    together = generator(z, noise)
    alone = generator(z[2:3], [maps[2:3] for maps in noise])
    torch.testing.assert_close(together[2:3], alone)
    assert together.shape == (4, 1, 16, 16)


def test_truncation_moves_all_images_to_the_mean_one() -> None:
    generator = drawn(Generator(network_config()))
    generator.mapping.w_avg.copy_(torch.randn(512))
    noise = generator.constant_noise()
    z = torch.randn(3, 512)
    mean = generator.synthesis(generator.broadcast(generator.mapping.w_avg[None]), noise)
    torch.testing.assert_close(generator(z, noise, psi=0.0), mean.expand(3, -1, -1, -1))
    w = generator.mapping(z)
    torch.testing.assert_close(generator.mapping.truncate(w, 1.0), w)


def test_a_layer_obeys_its_own_w_alone() -> None:
    """The coarse image is the same for two w that differ in later layers only."""
    generator = drawn(Generator(network_config()))
    ws = torch.randn(1, generator.synthesis.layers, 512)
    other = ws.clone()
    other[:, 2:] = torch.randn(1, generator.synthesis.layers - 2, 512)
    first = generator.synthesis.blocks[0]
    shown = [first.torgb(first.conv1(first.const[None], w[:, 0], None), w[:, 1]) for w in (ws, other)]
    torch.testing.assert_close(*shown)
    assert not torch.equal(*(generator.synthesis(w, None) for w in (ws, other)))


def test_minibatch_std_appends_the_mean_deviation_of_each_group() -> None:
    x = torch.randn(6, 3, 4, 4)
    y = minibatch_std(x, 3)
    assert y.shape == (6, 4, 4, 4)
    torch.testing.assert_close(y[:, :3], x)
    for group in (slice(0, 3), slice(3, 6)):
        expected = x[group].std(0, correction=0).mean()
        torch.testing.assert_close(y[group, 3], expected.expand(3, 4, 4), rtol=1e-4, atol=1e-4)


def test_logits_depend_on_the_own_group_alone() -> None:
    """So a batch may be shared by processes in whole groups."""
    discriminator = drawn(Discriminator(network_config())).double()
    images = torch.randn(4, 1, 16, 16).double()
    halves = torch.cat([discriminator(images[:2]), discriminator(images[2:])])
    torch.testing.assert_close(discriminator(images), halves)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_reduced_precision_changes_little(precision: Literal["float32", "bfloat16"]) -> None:
    config = network_config(precision=precision, resolution=64, channel_max=16, channel_base=1024)
    plain = config.model_copy(update={"precision": "float32"})
    z = torch.randn(4, 512, generator=torch.Generator().manual_seed(1))
    images = [drawn(Generator(c))(z, None) for c in (config, plain)]
    assert all(image.dtype == torch.float32 for image in images)
    logits = [drawn(Discriminator(c))(images[1]) for c in (config, plain)]
    tolerance = 0.0 if precision == "float32" else 0.05
    torch.testing.assert_close(*images, rtol=tolerance, atol=tolerance * images[1].std().item())
    torch.testing.assert_close(*logits, rtol=tolerance, atol=tolerance)


def test_conditional_networks_listen_to_the_label() -> None:
    config = network_config(labels=2)
    generator, discriminator = drawn(Generator(config)), drawn(Discriminator(config))
    labels = torch.eye(2)
    images = generator(torch.randn(1, 512).expand(2, -1), None, labels)
    assert not torch.allclose(images[0], images[1])
    same = images[:1].expand(2, -1, -1, -1)
    logits = discriminator(same, labels)
    assert logits.shape == (2,)
    assert not torch.allclose(logits[0], logits[1])

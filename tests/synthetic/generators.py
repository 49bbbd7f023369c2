"""Small generators for tests, untrained, and how they are published."""

import json

import safetensors.torch

from mura_jobs.bucket.base import Bucket
from mura_jobs.gan.config import NetworkConfig
from mura_jobs.gan.generator import Generator
from mura_jobs.gan.layers import initialise
from mura_jobs.gan.load import CONFIG, WEIGHTS
from mura_jobs.job.artifact import Draft
from mura_jobs.job.randomness import torch_stream


def generator(resolution: int = 16) -> Generator:
    """An untrained generator, with the variety that initial weights and noise give."""
    network = Generator(
        NetworkConfig(
            resolution=resolution,
            image_channels=1,
            labels=0,
            channel_base=256,
            channel_max=32,
            mapping_layers=2,
            minibatch_std_group=4,
            precision="float32",
        )
    )
    initialise(network, torch_stream(0, "weights"))
    for convolution in network.synthesis.convolutions:
        convolution.noise_strength.data += 1
    return network.requires_grad_(requires_grad=False)


def publish_generator(bucket: Bucket, network: Generator) -> None:
    """Publish it as `train-gan/positive` of the run `r`."""
    draft = Draft(bucket, "runs/r/train-gan/positive", stage="train-gan", config={}, inputs={})
    draft.put(WEIGHTS, safetensors.torch.save({k: v.contiguous() for k, v in network.state_dict().items()}))
    draft.put(CONFIG, json.dumps({"network": network.config.plain()}).encode())
    draft.publish({})

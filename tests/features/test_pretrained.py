from hashlib import sha256
from io import BytesIO
from pathlib import Path
import re

import pytest
import safetensors.torch
import torch
from torch import Tensor
import torchvision

from mura_jobs.bucket import open_bucket
from mura_jobs.errors import InputError
from mura_jobs.features.config import NetworkConfig
from mura_jobs.features.network import build
from mura_jobs.features.pretrained import read_pretrained


def published(name: str) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torchvision.models.get_model(name, weights=None).state_dict()
    return state


def as_pth(state: object) -> bytes:
    file = BytesIO()
    torch.save(state, file)
    return file.getvalue()


def config(where: str, data: bytes, name: str = "resnet18") -> NetworkConfig:
    return NetworkConfig.parse(
        {"name": name, "pretrained": where, "pretrained_sha256": sha256(data).hexdigest()}
    )


def test_a_file_and_a_bucket_key_give_the_same_network(tmp_path: Path) -> None:
    """As `.pth` and as `.safetensors`: all weights but the new last layer are the file's."""
    state = published("resnet18")
    bucket = open_bucket(tmp_path.as_uri())
    safe, pth = safetensors.torch.save(state), as_pth(state)
    bucket.write("weights/resnet18.safetensors", safe)
    (tmp_path / "resnet18.pth").write_bytes(pth)
    for settings in (
        config("weights/resnet18.safetensors", safe),
        config(str(tmp_path / "resnet18.pth"), pth),
    ):
        built = build(settings, 32, 0, read_pretrained(settings, bucket)).state_dict()
        assert torch.equal(built["features.layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])
        assert torch.equal(built["features.bn1.running_var"], state["bn1.running_var"])
        assert torch.equal(built["features.conv1.weight"], state["conv1.weight"].sum(1, keepdim=True))


def test_published_densenet_names_are_understood(tmp_path: Path) -> None:
    """The files that torchvision publishes for DenseNet say "norm.1" where its network says "norm1"."""
    state = published("densenet121")
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key): value for key, value in state.items()
    }
    assert old.keys() != state.keys()
    data = as_pth(old)
    bucket = open_bucket(tmp_path.as_uri())
    bucket.write("densenet.pth", data)
    settings = config("densenet.pth", data, "densenet121")
    built = build(settings, 32, 0, read_pretrained(settings, bucket)).state_dict()
    name = "denseblock4.denselayer16.conv2.weight"
    assert torch.equal(built[f"features.dense.{name}"], state[f"features.{name}"])


def test_a_file_that_was_not_meant_is_refused(tmp_path: Path) -> None:
    bucket = open_bucket(tmp_path.as_uri())
    bucket.write("w.pth", b"something else")
    with pytest.raises(InputError, match=r"has sha256 [0-9a-f]{64}, but the configuration says"):
        read_pretrained(config("w.pth", b"what was meant"), bucket)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no weights", "can't be read as weights"),
        (as_pth([1, 2]), "no plain mapping"),
        (as_pth({"a": 1}), "no plain mapping"),
    ],
)
def test_a_file_without_weights_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    bucket = open_bucket(tmp_path.as_uri())
    bucket.write("w.pth", data)
    with pytest.raises(InputError, match=message):
        read_pretrained(config("w.pth", data), bucket)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    """A pickle that would create a file when loaded is refused, and creates none."""
    import pickle

    target = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (target,)

    data = pickle.dumps(Trap())
    bucket = open_bucket(tmp_path.as_uri())
    bucket.write("w.pth", data)
    with pytest.raises(InputError, match="can't be read as weights"):
        read_pretrained(config("w.pth", data), bucket)
    assert not target.exists()


def test_another_networks_weights_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"not torchvision's weights of resnet18: .* and \d+ more"):
        build(NetworkConfig(), 32, 0, published("resnet34"))
    wrong = published("resnet18")
    wrong["layer1.0.conv1.weight"] = torch.zeros(1)
    del wrong["bn1.weight"]
    with pytest.raises(InputError, match=r"bn1.weight is missing; layer1.0.conv1.weight is \[1\], expected"):
        build(NetworkConfig(), 32, 0, wrong)

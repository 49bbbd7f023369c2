from hashlib import sha256
import json
from pathlib import Path
import pickle

import pytest
import safetensors.torch
import torch
from torch import Tensor

from mura_jobs.bucket.local import LocalBucket
from mura_jobs.errors import ConfigError, InputError
from mura_jobs.gan.config import InitialConfig, NetworkConfig, TrainGanSettings
from mura_jobs.gan.discriminator import Discriminator
from mura_jobs.gan.generator import Generator
from mura_jobs.gan.pretrained.source import published_discriminator
from mura_jobs.gan.pretrained.transfer import Fitted, start_from
from mura_jobs.gan.state import TrainState
from tests.gan.pretrained import reference
from tests.gan.pretrained.files import Lists, published
from tests.gan.small import drawn, network_config, recipe, settings

TOLERANCE = 1e-6
"""Weights are float32; all else in these comparisons is float64."""

Networks = dict[str, dict[str, Tensor]]


def networks(**changes: object) -> Networks:
    """What a published file holds: a G, its average and a D, all different."""
    config = network_config(**changes)
    found: Networks = {}
    for name in ("G", "G_ema"):
        found[name] = dict(drawn(Generator(config), name).state_dict())
        found[name]["mapping.w_avg"].normal_()
    found["D"] = published_discriminator(drawn(Discriminator(config), "D").state_dict())
    return found


def fresh(**changes: object) -> TrainState:
    """A training about to begin, of networks with these changes, in float64."""
    chosen = settings()
    resolved = recipe(chosen)
    config = NetworkConfig.parse(resolved.network.plain() | network_config(**changes).plain())
    state = TrainState.fresh(resolved.model_copy(update={"network": config}), chosen, torch.device("cpu"))
    for network in (state.G, state.D, state.G_ema):
        network.double()
    return state


def start(state: TrainState, folder: Path, data: bytes, name: str = "x.pkl") -> dict[str, Fitted]:
    """Start from these bytes as a file on disk."""
    path = folder / name
    path.write_bytes(data)
    config = InitialConfig(weights=str(path), sha256=sha256(data).hexdigest())
    return start_from(state, config, LocalBucket(folder), 0)


def doubled(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in tensors.items()}


def z(count: int = 4) -> Tensor:
    return torch.randn(count, 512, dtype=torch.float64)


@pytest.mark.parametrize("pickler", [pickle.Pickler, Lists])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_published_generator_draws_what_the_published_equations_say(
    tmp_path: Path, channels: int, pickler: type[pickle.Pickler]
) -> None:
    """In grey as in colour, with truncation and stored noise, whatever the storages' encoding."""
    given, state = networks(resolution=32, image_channels=channels), fresh(resolution=32)
    start(state, tmp_path, published(given, pickler))
    latent = z()
    for network, name in ((state.G, "G"), (state.G_ema, "G_ema")):
        expected = reference.generator(doubled(given[name]), latent, psi=0.7).mean(1, keepdim=True)
        found = network(latent, network.constant_noise(), psi=0.7)
        assert expected.std() > 0.1
        torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_published_discriminator_judges_grey_images_as_the_published_equations_say(
    tmp_path: Path, channels: int
) -> None:
    given, state = networks(resolution=32, image_channels=channels), fresh(resolution=32)
    start(state, tmp_path, published(given))
    grey = torch.randn(4, 1, 32, 32, dtype=torch.float64)
    expected = reference.discriminator(doubled(given["D"]), grey.expand(-1, channels, -1, -1), group=2)
    torch.testing.assert_close(state.D(grey), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_all_that_a_fitting_file_has_is_loaded(tmp_path: Path) -> None:
    given, state = networks(image_channels=3), fresh()
    fitted = start(state, tmp_path, published(given))
    for name, network in (("G", state.G), ("G_ema", state.G_ema), ("D", state.D)):
        assert fitted[name] == Fitted(len(network.state_dict()), (), ())


def test_a_file_of_a_lower_resolution_leaves_the_blocks_above_as_they_were(tmp_path: Path) -> None:
    given, state = networks(resolution=16), fresh(resolution=32)
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    fitted = start(state, tmp_path, published(given))
    assert (fitted["G"].fresh, fitted["G"].unused) == (("synthesis.b32",), ())
    assert (fitted["D"].fresh, fitted["D"].unused) == (("b32",), ("b16.fromrgb",))
    for name in ("G.synthesis.b32.conv0.weight", "D.fromrgb.weight", "D.b32.conv0.weight"):
        assert torch.equal(state.tensors()[name], before[name])
    torch.testing.assert_close(
        state.D.state_dict()["b16.conv0.weight"], given["D"]["b16.conv0.weight"].double()
    )


def test_a_file_of_a_higher_resolution_draws_the_lower_one(tmp_path: Path) -> None:
    """The image before the last upsampling, as all steps to the image are summed."""
    given, state = networks(resolution=32), fresh(resolution=16)
    fitted = start(state, tmp_path, published(given))
    assert fitted["G"].unused == ("synthesis.b32",)
    assert (fitted["D"].fresh, fitted["D"].unused) == (("b16.fromrgb",), ("b32",))
    below = {name: t for name, t in doubled(given["G"]).items() if "b32" not in name}
    latent = z()
    torch.testing.assert_close(
        state.G(latent, state.G.constant_noise()),
        reference.generator(below, latent),
        rtol=TOLERANCE,
        atol=TOLERANCE,
    )


@pytest.mark.parametrize(
    ("changes", "fix"),
    [
        ({"mapping_layers": 8}, "set train-gan.mapping_layers to 8"),
        (
            {"channel_base": 256, "channel_max": 16},
            "set train-gan.channel_max to 16 and train-gan.channel_base to 256",
        ),
        ({"channel_base": 2048, "channel_max": 8}, "set train-gan.channel_max to 8 and train-gan.channel_"),
    ],
)
def test_other_widths_and_depths_are_refused_with_the_fix(
    tmp_path: Path, changes: dict[str, object], fix: str
) -> None:
    given = networks(resolution=64, **changes)
    with pytest.raises(ConfigError, match=fix):
        start(fresh(resolution=64), tmp_path, published(given))
    state = fresh(resolution=64, **changes)
    assert start(state, tmp_path, published(given))["G"].fresh == ()


def test_labels_that_a_training_lacks_are_averaged(tmp_path: Path) -> None:
    """D's logit becomes the mean of those for each label, w's first layer sees the mean embedding."""
    given, state = networks(labels=3), fresh()
    fitted = start(state, tmp_path, published(given))
    assert fitted["D"].fresh == fitted["G"].fresh == ()
    images = torch.randn(4, 1, 16, 16, dtype=torch.float64)
    d = doubled(given["D"])
    logits = [
        reference.discriminator(d, images, 2, row.expand(4, -1)) for row in torch.eye(3, dtype=torch.float64)
    ]
    torch.testing.assert_close(state.D(images), torch.stack(logits).mean(0), rtol=1e-5, atol=1e-5)
    same = given["G"]["mapping.embed.weight"]
    same[:] = same[:, :1]
    start(state, tmp_path, published(given))
    latent, label = z(), torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0]]
    torch.testing.assert_close(
        state.G(latent, state.G.constant_noise()),
        reference.generator(doubled(given["G"]), latent, label),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("labels", [0, 3])
def test_labels_that_a_file_lacks_make_no_difference_at_first(tmp_path: Path, labels: int) -> None:
    given, state = networks(labels=labels), fresh(labels=2)
    fitted = start(state, tmp_path, published(given))
    assert fitted["G"].fresh == ("mapping.embed",)
    assert fitted["D"].fresh == ("b4.out", "mapping")
    latent, noise = z(), state.G.constant_noise()
    one, two = (state.G(latent, noise, row.expand(4, -1)) for row in torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(one, two)
    if not labels:
        torch.testing.assert_close(
            one, reference.generator(doubled(given["G"]), latent), rtol=1e-6, atol=1e-6
        )


def test_a_conditional_file_for_as_many_labels_is_loaded_as_it_is(tmp_path: Path) -> None:
    given, state = networks(labels=2), fresh(labels=2)
    assert {fitted.fresh for fitted in start(state, tmp_path, published(given)).values()} == {()}
    label = torch.eye(2, dtype=torch.float64)[[0, 1, 1, 0]]
    latent, images = z(), torch.randn(4, 1, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(
        state.G(latent, state.G.constant_noise(), label),
        reference.generator(doubled(given["G"]), latent, label),
        rtol=TOLERANCE,
        atol=TOLERANCE,
    )
    expected = reference.discriminator(doubled(given["D"]), images, 2, label)
    torch.testing.assert_close(state.D(images, label), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_a_file_with_the_average_alone_starts_both_generators(tmp_path: Path) -> None:
    given, state = {"G_ema": networks()["G_ema"]}, fresh()
    assert start(state, tmp_path, published(given)).keys() == {"G", "G_ema"}
    for network in (state.G, state.G_ema):
        torch.testing.assert_close(
            network.state_dict()["mapping.w_avg"], given["G_ema"]["mapping.w_avg"].double()
        )


def test_our_own_checkpoint_starts_all_networks(tmp_path: Path) -> None:
    other, state = fresh(), fresh()
    for name in ("G", "D", "G_ema"):
        drawn(getattr(other, name), f"other {name}")
    tensors = {name: t.detach().float().contiguous() for name, t in other.tensors().items()}
    fitted = start(state, tmp_path, safetensors.torch.save(tensors), "state.safetensors")
    assert {part for found in fitted.values() for part in (*found.fresh, *found.unused)} == set()
    own = state.tensors()
    for name, tensor in tensors.items():
        if name.startswith(("G.", "D.", "G_ema.")):
            assert torch.equal(own[name].float(), tensor), name


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    given = networks()
    given["D"]["b8.conv0.weight"][0, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match=r"b8\.conv0\.weight holds something else than finite numbers"):
        start(fresh(), tmp_path, published(given))


def test_a_file_is_named_by_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(published(networks()))
    for weights in (str(path), "x.pkl"):
        config = InitialConfig(weights=weights, sha256="0" * 64)
        with pytest.raises(InputError, match=f"has sha256 {sha256(path.read_bytes()).hexdigest()}"):
            start_from(fresh(), config, LocalBucket(tmp_path), 0)
    for weights in (str(tmp_path / "none.pkl"), "none.pkl"):
        with pytest.raises(InputError, match=r"none\.pkl (can't be read|is not in)"):
            start_from(fresh(), InitialConfig(weights=weights, sha256="0" * 64), LocalBucket(tmp_path), 0)


@pytest.mark.parametrize(("name", "data"), [("x.bin", b""), ("x.safetensors", b"x"), ("x.pkl", b"")])
def test_other_files_are_refused(tmp_path: Path, name: str, data: bytes) -> None:
    with pytest.raises(InputError, match=r"initial\.weights"):
        start(fresh(), tmp_path, data, name)


def test_the_digest_is_required() -> None:
    with pytest.raises(ConfigError, match="sha256: missing"):
        TrainGanSettings.parse(json.loads('{"initial": {"weights": "x.pkl"}}'))

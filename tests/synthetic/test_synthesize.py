from collections.abc import Callable
import io
from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import InputError
from mura_jobs.gan.generator import Generator
from mura_jobs.job.artifact import Artifact
from mura_jobs.radiographs.packed import Packed
from mura_jobs.synthetic.config import SynthesizeConfig
from mura_jobs.synthetic.sample import Noise, sample
from mura_jobs.synthetic.synthesize import run
from tests.synthetic.generators import generator, publish_generator
from tests.synthetic.toy import Images, job_for, publish, radiographs

INPUTS = ["preprocess", "train-gan/positive"]
NOISES: tuple[Noise, ...] = ("random", "const", "none")
LENIENT = {"quantile": 0.0, "rejected_share": 0.9, "features": {"space": "none"}}


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    bucket = open_bucket(tmp_path.as_uri())
    publish(bucket, "preprocess", *radiographs(60))
    publish_generator(bucket, generator())
    return bucket


def settings(**values: object) -> SynthesizeConfig:
    defaults = {"amount": "n20", "batch": 8, "gates": LENIENT, "label": "positive"}
    return SynthesizeConfig.parse(defaults | values)


def synthesize(bucket: Bucket, config: SynthesizeConfig, count: int = 1) -> Artifact:
    for index in range(count):
        run(config, job_for(bucket, "synthesize/positive", config, INPUTS, index=index, count=count))
    return Artifact.open(bucket, "runs/r/synthesize/positive")


def draw(numbers: range, *, noise: Noise = "random", psi: float = 1.0, seed: int = 0) -> Images:
    return sample(generator(), numbers, seed=seed, label="positive", psi=psi, noise=noise, device="cpu")


def clear(bucket: Bucket) -> None:
    bucket.delete([entry.key for entry in list(bucket.list("runs/r/synthesize/"))])


def test_any_sharing_out_gives_the_same_bytes(bucket: Bucket) -> None:
    """Also with more shares than there are batches."""
    whole = synthesize(bucket, settings()).manifest
    for count in (2, 3, 40):
        clear(bucket)
        assert synthesize(bucket, settings(), count).manifest.objects == whole.objects
    assert not list(bucket.list("runs/r/synthesize/positive/parts/"))


def test_more_images_are_the_same_images_and_more(bucket: Bucket, tmp_path: Path) -> None:
    few = Packed.load(synthesize(bucket, settings(amount="n10")), tmp_path / "few")
    clear(bucket)
    many = Packed.load(synthesize(bucket, settings(amount="n30")), tmp_path / "many")
    np.testing.assert_array_equal(many.images()[:10], few.images())
    assert list(many.index["key"][:10]) == list(few.index["key"])


def test_the_data_set_says_where_each_image_comes_from(bucket: Bucket, tmp_path: Path) -> None:
    config = settings(amount="x0.5", psi=0.7, seed=3)
    artifact = synthesize(bucket, config)
    packed = Packed.load(artifact, tmp_path / "packed")
    index = packed.index
    assert len(packed) == 18  # of 36 positive training images
    assert set(index["split"]) == {"train"}
    assert set(index["label"]) == {"positive"}
    assert set(index["body_part"]) == {"XR_SHOULDER"}
    assert index["patient"].is_unique
    assert index["patient"].str.startswith("synthetic-").all()
    digest = Artifact.open(bucket, "runs/r/train-gan/positive").manifest.digest
    assert set(index["generator"]) == {digest}
    for row, number in enumerate(index["number"]):
        first = number // 8 * 8
        drawn = draw(range(first, first + 8), seed=3, psi=0.7)
        np.testing.assert_array_equal(packed.images(slice(row, row + 1))[0], drawn[number - first])
    trained = set(radiographs(60)[0].query("split == 'train' and label == 'positive'")["key"])
    assert set(index["nearest_train"]) <= trained
    sheet = Image.open(io.BytesIO(artifact.read("grids/fakes.png")))
    np.testing.assert_array_equal(np.asarray(sheet)[:16, :16], packed.images()[0])


def test_noise_modes_and_psi_do_what_they_say() -> None:
    """With psi 0 only the noise differs; the same numbers give the same images, another seed others."""
    four = range(4)
    for noise in NOISES:
        alike = (draw(four, noise=noise, psi=0.0) == draw(range(1), noise=noise, psi=0.0)).all()
        assert alike == (noise != "random")
        assert (draw(four, noise=noise) == draw(four, noise=noise)).all()
        assert (draw(four, noise=noise) != draw(four, noise=noise, seed=1)).any()


def plant(monkeypatch: pytest.MonkeyPatch, change: Callable[[Images], Images]) -> None:
    """Let the generator return training images, changed, as every third of its images."""
    index, images = radiographs(60)
    trained = images[((index["split"] == "train") & (index["label"] == "positive")).to_numpy()]

    def memorised(_: Generator, numbers: range, **__: object) -> Images:
        fresh = (
            np.random.default_rng(1000 + numbers.start).normal(100, 25, (len(numbers), 16, 16)).clip(0, 255)
        )
        drawn = [
            change(trained[n % len(trained)]) if n % 3 == 0 else image
            for n, image in zip(numbers, fresh, strict=True)
        ]
        return np.stack(drawn).astype(np.uint8)

    monkeypatch.setattr("mura_jobs.synthetic.synthesize.sample", memorised)


@pytest.mark.parametrize("flip", [False, True])
def test_planted_copies_never_get_out(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, *, flip: bool) -> None:
    """All of them are rejected, and nothing else is: noise is unlike any training image."""
    plant(monkeypatch, lambda image: image[:, ::-1] if flip else image)
    artifact = synthesize(bucket, settings(amount="n24"))
    numbers = Packed.load(artifact, bucket_folder(bucket)).index["number"]
    assert list(numbers) == [n for n in range(36) if n % 3]
    assert artifact.manifest.summary["rejected"]["memorisation"] == 12


def test_memorised_images_are_kept_only_when_the_gate_is_off(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And then their scores still say what they are."""
    plant(monkeypatch, lambda image: image)
    off = {"memorisation": False, "duplicates": False, "features": {"space": "none"}}
    index = Packed.load(synthesize(bucket, settings(gates=off)), bucket_folder(bucket)).index
    assert list(index["number"]) == list(range(20))
    assert (index["train_distance"] == 0).to_list() == [n % 3 == 0 for n in range(20)]


def test_repeated_images_are_kept_once(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator of five images yields five."""

    def collapsed(_: Generator, numbers: range, **__: object) -> Images:
        few = np.random.default_rng(5).normal(100, 25, (5, 16, 16)).clip(0, 255).astype(np.uint8)
        return np.asarray(few[np.array(numbers) % 5])

    monkeypatch.setattr("mura_jobs.synthetic.synthesize.sample", collapsed)
    packed = Packed.load(synthesize(bucket, settings(amount="n5")), bucket_folder(bucket))
    assert list(packed.index["number"]) == [0, 1, 2, 3, 4]
    clear(bucket)
    with pytest.raises(
        InputError, match=r"only 5 of 60 candidates passed .* 6 are wanted: .*duplicates rejected 55 of 60"
    ):
        synthesize(bucket, settings(amount="n6"))


def test_thresholds_and_scores_ignore_the_test_split(bucket: Bucket) -> None:
    before = synthesize(bucket, settings()).manifest.objects
    index, images = radiographs(60)
    here = (index["split"] == "test").to_numpy()
    bucket.delete([entry.key for entry in list(bucket.list("runs/r/preprocess/"))])
    clear(bucket)
    publish(bucket, "preprocess", index, np.where(here[:, None, None], 255 - images, images).astype(np.uint8))
    assert synthesize(bucket, settings()).manifest.objects == before


def test_a_generator_of_another_resolution_is_refused(bucket: Bucket) -> None:
    bucket.delete([entry.key for entry in list(bucket.list("runs/r/train-gan/"))])
    publish_generator(bucket, generator(32))
    with pytest.raises(InputError, match=r"draws 32² pixels, the data set has 16²"):
        synthesize(bucket, settings())


def bucket_folder(bucket: Bucket) -> Path:
    return Path(bucket.url.removeprefix("file://")) / "local"


def test_gates_on_features_of_a_trained_network_leave_their_scores_whatever_the_shares(
    bucket: Bucket, tmp_path: Path
) -> None:
    """With EfficientNet-Lite0 as it is installed; noise is like no radiograph, so realism would take all."""
    bucket.delete([entry.key for entry in list(bucket.list("runs/r/preprocess/"))])
    publish(bucket, "preprocess", *radiographs(22, finding=80))
    gates = {"realism": False, "quantile": 0.0, "label_quantile": 0.0, "rejected_share": 0.8, "neighbours": 2}
    config = settings(amount="n3", gates=gates)
    whole = synthesize(bucket, config)
    index = Packed.load(whole, tmp_path / "packed").index
    summary = whole.manifest.summary
    assert summary["features"] == "efficientnet-lite0"
    assert (index["train_feature_distance"] > summary["gates"]["memorisation_features"]["threshold"]).all()
    assert index["label_probability"].between(0, 1).all()
    assert index["realism"].between(0, 1).all()
    assert not index["memorised"].any()
    clear(bucket)
    assert synthesize(bucket, config, 2).manifest.objects == whole.manifest.objects

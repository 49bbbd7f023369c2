from pathlib import Path

import pytest
import yaml

from mura_jobs.cli import PRESETS
from mura_jobs.errors import ConfigError
from mura_jobs.stages import STAGES, TRAIN_CNN, RunConfig, configure, plan

HERE = Path(__file__).parent
SHIPPED = sorted(
    path
    for folder in (Path(str(PRESETS)), HERE / "evidence", HERE / "faults", HERE.parent / "docs" / "studies")
    for path in folder.glob("*.yaml")
)


def test_needs_come_before_what_needs_them() -> None:
    done: set[str] = set()
    for instance in plan(RunConfig.parse({"phantom": {}, "arms": ["real", "real+synthetic-x0.5"]})):
        assert set(instance.stage.needs(instance.config)) <= done
        assert instance.place not in done
        done.add(instance.place)


def test_a_run_repeats_what_it_says() -> None:
    places = [instance.place for instance in plan(RunConfig.parse({"seeds": 2}))]
    assert sum(place.startswith("train-cnn/") for place in places) == 2 * len(RunConfig().arms)
    assert sum(place.startswith("train-gan/") for place in places) == len(RunConfig().labels)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_run_files_are_valid_and_say_nothing_that_is_default_anyway(path: Path) -> None:
    """A default stands in its Config class and nowhere else."""
    values = yaml.safe_load(path.read_text("utf-8"))
    config = RunConfig.parse(values, path.name)
    assert plan(config)

    def overrides(values: dict[str, object], defaults: dict[str, object], where: str) -> None:
        for key, value in values.items():
            default = defaults.get(key)
            if isinstance(value, dict):
                overrides(value, default if isinstance(default, dict) else {}, f"{where}.{key}")
            else:
                assert value != default, f"{where}.{key} is the default"

    overrides(values, RunConfig().plain(), path.stem)


def test_presets_are_shipped() -> None:
    assert "demo" in [path.stem for path in SHIPPED]


def test_arms_that_need_both_labels_are_refused_with_one() -> None:
    with pytest.raises(ConfigError, match="needs synthetic radiographs of both labels"):
        RunConfig.parse({"labels": ["positive"]})
    assert RunConfig.parse({"labels": ["positive"], "arms": ["real"]}).labels == ("positive",)


def test_arms_that_take_more_than_is_made_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"real\+synthetic-x2 takes more .* synthesize.amount: x1 makes"):
        RunConfig.parse({"arms": ["real", "real+synthetic-x2"]})
    enough = RunConfig.parse({"arms": ["real", "real+synthetic-x2"], "synthesize": {"amount": "x2"}})
    assert enough.synthesize.amount == "x2"


def test_imported_radiographs_come_in_the_place_of_generated_ones() -> None:
    values = {"import-grid": {"source": "grids/{label}.png"}, "arms": ["real", "real+synthetic-x2"]}
    instances = plan(RunConfig.parse(values))
    places = {instance.place: instance.stage.name for instance in instances}
    assert not any(place.startswith("train-gan/") for place in places)
    assert places["synthesize/positive"] == places["synthesize/negative"] == "import-grid"
    assert all(set(instance.stage.needs(instance.config)) <= places.keys() for instance in instances)
    with pytest.raises(ConfigError, match="with import-grid no generator is trained"):
        RunConfig.parse(values | {"conditional": True})


def test_an_unknown_arm_is_refused_with_the_grammar() -> None:
    with pytest.raises(ConfigError, match=r"real\+fake.*an arm is real"):
        RunConfig.parse({"arms": ["real", "real+fake"]})


def test_an_instance_is_its_section_and_what_says_which() -> None:
    run = RunConfig.parse({"train-cnn": {"batch": 8}})
    config = configure(TRAIN_CNN, run, arm="real", seed=3)
    assert {"batch": 8, "arm": "real", "seed": 3}.items() <= config.plain().items()
    with pytest.raises(ConfigError, match=r"train-cnn\.arm: missing"):
        configure(TRAIN_CNN, run)


def test_stage_names_are_sections_of_the_run() -> None:
    sections = {field.alias or name for name, field in RunConfig.model_fields.items()}
    assert {stage.name for stage in STAGES} <= sections

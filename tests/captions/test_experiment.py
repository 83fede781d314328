"""Every choice of an experiment with images and captions in one object: checked, saved, loaded and compared."""

import re
from dataclasses import replace

import jax
import numpy as np
import pytest

from phasejax.captions import CAPTION_PRESETS, CaptionExperiment
from phasejax.captions._sources import CaptionSource, open_captions
from phasejax.deep._grid import cells_of
from tests.captions.conftest import TINY


@pytest.mark.parametrize("name", CAPTION_PRESETS)
def test_what_is_saved_is_what_is_loaded(name):
    assert CaptionExperiment.from_json(CAPTION_PRESETS[name].to_json()) == CAPTION_PRESETS[name]


def test_the_paper_has_0_1_and_3_groups():
    assert CAPTION_PRESETS["paper"].groups == (0, 1, 3)
    assert replace(TINY, noises=(0.0, 0.01, 0.25, 1.0)).groups == (0, 1, 2, 6)


@pytest.mark.parametrize(("changes", "message"), [
    ({"data": "flickr"}, "data: expected one of emoji, glyphs, coco, got 'flickr'"),
    ({"data": "coco"}, "path: expected the folder of COCO for data coco, got none"),
    ({"path": "somewhere"}, "path: expected none for data emoji, got somewhere"),
    ({"decoded": "somewhere"}, "decoded: expected none for data emoji, got somewhere"),
    ({"objectives": ("clip",)}, "objectives: expected one of vicreg, .*, got 'clip'"),
    ({"mode": "colour"}, "mode: expected one of .*, got 'colour'"),
    ({"mode": "image", "jitters": (0.5,)}, "jitters: expected (0.0,) in the mode image, got (0.5,)"),
    ({"noises": (0.0, 2.0)}, "noises: expected values from 0 to 1, got 2.0"),
    ({"noises": (0.5, 0.5)}, "noises: expected different values"),
    ({"batch": 1}, "batch: expected 2 or more"),
    ({"batch": 21, "accumulate": 2}, "batch: expected 2 or more, a multiple of accumulate = 2, got 21"),
    ({"learning_rate": float("nan")}, "learning_rate: expected a positive number, got nan"),
    ({"seeds": 0}, "seeds: expected a whole number of at least 1, got 0"),
    ({"text_layers": -1}, "text_layers: expected a whole number of at least 0, got -1"),
])
def test_bad_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=message.replace("(0.", r"\(0.").replace(",)", r",\)")):
        replace(TINY, **changes)


def test_splits_of_one_set_keep_groups_together_and_have_fixed_sizes():
    source, cells = open_captions(TINY), cells_of(replace(TINY, seeds=3))
    splits = [source.split(jax.tree.map(lambda leaf, seed=seed: leaf[seed], cells)) for seed in range(3)]
    groups = source.pairs.groups
    for split in splits:
        parts = [split.train, split.validation, split.test]
        assert list(map(len, parts)) == list(map(len, [splits[0].train, splits[0].validation, splits[0].test]))
        assert len(split.test) == len(split.validation) == len(source.pairs) // 10
        rows = np.concatenate(parts)
        assert len(np.unique(rows)) == len(rows)
        members = [set(groups[part]) for part in parts]
        assert len(set().union(*members)) == sum(map(len, members))
    assert (splits[0].test != splits[1].test).any()
    # Whole groups are cut off only at the ends of parts.
    assert len(splits[0].train) > 0.6 * len(source.pairs)


def test_the_images_held_out_by_a_publisher_validate_and_test():
    pairs = open_captions(TINY).pairs
    source = CaptionSource(pairs, pairs.select(np.arange(31)))
    split = source.split(jax.tree.map(lambda leaf: leaf[0], cells_of(TINY)))
    np.testing.assert_array_equal(split.train, np.arange(len(pairs)))
    assert (len(split.validation), len(split.test)) == (16, 15)
    assert sorted([*split.validation, *split.test]) == list(range(31))


def test_a_folder_that_is_no_coco_is_named(tmp_path):
    message = f"path: expected the folder of COCO with train2017, val2017 and annotations, got {tmp_path}"
    with pytest.raises(ValueError, match=re.escape(message)):
        CaptionExperiment(path=str(tmp_path)).data_checksum()


def test_the_checksum_of_a_folder_is_that_of_its_content(tmp_path):
    def made(name, size):
        folder = tmp_path / name
        for part in ("annotations", "train2017", "val2017"):
            (folder / part).mkdir(parents=True)
        (folder / "annotations" / "captions_val2017.json").write_text("{}")
        (folder / "train2017" / "1.jpg").write_bytes(b"x" * size)
        return CaptionExperiment(path=str(folder)).data_checksum()

    first, second, third = made("a", 3), made("b", 3), made("c", 4)
    assert first == second != third

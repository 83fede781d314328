"""COCO's folder becomes images, captions and labels, or one line says what is wrong with it."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from phasejax.captions import CaptionExperiment, Vocabulary, load_coco
from phasejax.captions._decoded_images import decode
from phasejax.captions._sources import open_captions
from tests.captions.coco_folder import change, make_coco


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    return make_coco(tmp_path_factory.mktemp("coco"))


def test_images_captions_and_labels(coco):
    pairs = load_coco(str(coco), size=28)
    assert pairs.images.shape == (12, 28, 28, 3)
    assert pairs.ids.tolist() == [str(7 * i + 5) for i in range(12)]
    assert pairs.label_names == ("dog", "dining table", "toothbrush")
    # The category of the largest annotation: a toothbrush in every fourth image, however many tables there are.
    assert pairs.labels.tolist() == [2 if i % 4 == 3 else 0 for i in range(12)]
    assert pairs.tokens.shape == (12, 5, 64)
    assert pairs.vocabulary.decode(pairs.tokens[3, 2]) == "a dog sits , number 2 of 3"
    scenes = [[pairs.vocabulary.decode(one) for one in pairs.scenes[i] if one.any()] for i in (0, 2, 3)]
    assert scenes == [[], ["<unk> <unk> left"], ["dog left"]]
    assert load_coco(str(coco), size=28, most=5).ids.tolist() != pairs.ids.tolist()[:5]


def test_images_are_resized_and_cut_as_a_plain_resampling_does(tmp_path):
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (9, 13, 3), np.uint8)).resize((130, 90), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "a.png")
    # Without draft and box: reduce the short side to 64, then cut out the middle 56 x 56.
    whole = np.asarray(smooth.resize((round(130 * 64 / 90), 64), Image.Resampling.BILINEAR)).astype(int)
    left = (whole.shape[1] - 56) // 2
    assert np.abs(decode(tmp_path / "a.png", 56).astype(int) - whole[4:60, left:left + 56]).mean() < 3
    Image.fromarray(np.full((32, 32), 128, np.uint8)).save(tmp_path / "grey.jpg")
    assert decode(tmp_path / "grey.jpg", 8).shape == (8, 8, 3)


def test_few_bad_images_are_left_out_and_many_refused(tmp_path):
    root = make_coco(tmp_path, n=200)
    file = root / "train2017" / "000000000004.jpg"
    file.write_bytes(file.read_bytes()[:-20])
    (root / "train2017" / "000000000007.jpg").unlink()
    with pytest.warns(UserWarning, match=r"2 of 200 images are left out: 000000000004.jpg \(.*truncated.*\), "
                                         r"000000000007.jpg \(missing\)$"):
        pairs = load_coco(str(root), size=16)
    assert (len(pairs), len(pairs.skipped)) == (198, 2)
    # The other images are in their places.
    assert pairs.images[:, 8, 12, 0].tolist() == pytest.approx([20 * i % 256 for i in range(200) if i not in (4, 7)],
                                                              abs=6)
    (root / "train2017" / "000000000009.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="at most 1 % of 200 images missing or unreadable, got 3 "):
        load_coco(str(root), size=16, store=str(tmp_path / "store"))


def test_decoded_images_are_kept_and_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    from phasejax.captions import _decoded_images as module

    root, store = make_coco(tmp_path / "coco", n=12), tmp_path / "store"
    monkeypatch.setattr(module, "_CHUNK", 4)
    seen = []

    def interrupt(task, done, total):
        if task.startswith("images of"):
            seen.append(done)
            if done == 8:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_coco(str(root), size=16, store=str(store), progress=interrupt)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("phasejax-decode")]
    pairs = load_coco(str(root), size=16, store=str(store), progress=interrupt)
    assert seen == [4, 8, 12]
    assert isinstance(pairs.images, np.memmap)
    whole = load_coco(str(root), size=16)
    assert np.array_equal(pairs.images, whole.images)
    # Another time nothing is decoded, and another size does not take the place of this one.
    monkeypatch.setattr(module, "decode", None)
    again = load_coco(str(root), size=16, store=str(store), progress=interrupt)
    assert np.array_equal(again.images, whole.images)
    monkeypatch.undo()
    assert load_coco(str(root), size=8, store=str(store)).images.shape[1] == 8
    (root / "train2017" / "000000000001.jpg").write_bytes((root / "train2017" / "000000000011.jpg").read_bytes() + b"1")
    with pytest.raises(ValueError, match=r"store: expected one of the images in .* which is of others"):
        load_coco(str(root), size=16, store=str(store))


@pytest.mark.parametrize(("kind", "edit", "said"), [
    ("captions", lambda c: c["annotations"].append({"image_id": 1, "caption": "x"}),
     "captions_train2017.json: expected annotations of listed images, got one of image 1"),
    ("instances", lambda c: c["annotations"][0].update(category_id=2),
     "expected annotations of listed categories, got one of category 2"),
    ("instances", lambda c: c["annotations"][0].pop("area"), "instances_train2017.json: expected .*KeyError: 'area'"),
    ("instances", lambda c: c.pop("categories"), "expected lists named images, annotations, categories"),
    ("instances", lambda c: c["categories"].append({"id": 1, "name": "cat"}),
     "expected each category once, got 4 with 3"),
    ("instances", lambda c: c.update(annotations=[]), "expected annotated images, got none"),
    ("captions", lambda c: c.update(annotations=c["annotations"][5:]),
     "expected a caption of each annotated image, got none of 1, such as 000000000000.jpg"),
    ("captions", lambda c: c["annotations"][0].update(caption=None), "captions_train2017.json: expected annotations"),
])
def test_annotations_that_do_not_fit_are_refused_in_one_line(tmp_path, kind, edit, said):
    root = make_coco(tmp_path, n=2)
    change(root, kind, edit)
    with pytest.raises(ValueError, match=said) as error:
        load_coco(str(root), size=8)
    assert "\n" not in str(error.value)


def test_parts_with_other_categories_are_refused(tmp_path):
    root = make_coco(make_coco(tmp_path, n=2), "val", n=2)
    change(root, "instances", lambda c: c["categories"].append({"id": 2, "name": "cat"}), split="val")
    with pytest.raises(ValueError, match=r"path: expected the same categories in .*, got 3 and 4 that differ in din"):
        open_captions(CaptionExperiment(path=str(root), size=8))


def test_scoring_reads_nothing_that_training_has_read(tmp_path):
    """The same experiment finds the images of before; other files are read, and what is read is told."""
    root, told = make_coco(make_coco(tmp_path, n=2), "val", n=2), []

    def tell(task, done, total):
        told.append(f"{task}: {done} of {total}")

    experiment = CaptionExperiment(path=str(root), size=8)
    source = open_captions(experiment, tell)
    assert told == [f"{what} of {part}2017: {done} of 2" for part in ("train", "val")
                    for what, done in (("annotations", 1), ("annotations", 2), ("images", 2))]
    assert open_captions(replace(experiment), tell) is source
    assert len(told) == 6
    change(root, "captions", lambda c: c["annotations"][0].update(caption="another one"))
    assert open_captions(experiment, tell) is not source
    assert len(told) == 12


def test_files_that_are_missing_or_no_json_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"instances_train2017.json: expected a readable file, got No such file"):
        load_coco(str(tmp_path))
    root = make_coco(tmp_path, n=2)
    (root / "annotations" / "captions_train2017.json").write_text('{"annotations": [')
    with pytest.raises(ValueError, match=r"captions_train2017.json: expected a JSON file, got Expecting value"):
        load_coco(str(root))


def test_a_vocabulary_comes_back_and_that_of_another_run_is_refused(coco, tmp_path):
    pairs = load_coco(str(coco), size=8)
    path = tmp_path / "vocabulary.json"
    pairs.vocabulary.save(str(path))
    loaded = Vocabulary.load(str(path))
    assert loaded == pairs.vocabulary
    pairs.vocabulary.check_same(loaded)
    other = Vocabulary((*loaded.words, "new"))
    with pytest.raises(ValueError, match=r"vocabulary: expected that of the run, .* got another of"):
        pairs.vocabulary.check_same(other)
    content = json.loads(path.read_text())
    for changed, said in ((content | {"words": content["words"][:-1]}, "the file was changed"),
                          (content | {"phasejax_vocabulary": 2}, "expected version 1 of a vocabulary, got 2"),
                          ({"words": []}, "expected a vocabulary that phasejax has saved"),
                          (content | {"words": content["words"][::-1]}, "reserved tokens first")):
        path.write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=said):
            Vocabulary.load(str(path))

"""COCO 2017: photographs with five captions each, labelled with the category that fills most of them."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from phasejax._core.checked_call import checked
from phasejax._core.input_files import check_regular_file, reading
from phasejax._core.progress import ProgressCallback, reporting
from phasejax._core.validation import check_choice, check_count, check_path
from phasejax.captions._decoded_images import decode_folder
from phasejax.captions._pairs import CaptionPairs
from phasejax.captions._scenes import scene_tokens
from phasejax.captions._vocabulary import Vocabulary, build_vocabulary

_LARGEST_SIDE = 2048  # pixels


@checked
def load_coco(root: str, split: str = "train", size: int = 224, length: int = 64, most: int | None = None,
              vocabulary: Vocabulary | None = None, store: str | None = None,
              progress: bool | ProgressCallback = False) -> CaptionPairs:
    """The images of COCO 2017 with their captions, each labelled with the category of its largest annotation.

    `root` has the folders `train2017` and `val2017` with the images, and `annotations` with instances_train2017.json,
    captions_train2017.json and those of val2017. Images without an annotated thing have no label and are left out,
    which leaves 117,266 and 4952. They are decoded once, by as many threads as there are cores: of the training images
    17.7 GB at 224 x 224 pixels. Reading the annotations takes about 2 GB of memory for a while.

    Args:
        root: the folder.
        split: "train" or "val".
        size: side of the images in pixels; the middle of each is kept.
        length: T, the tokens in a caption.
        most: so many images at most, chosen at random, always the same.
        vocabulary: in place of that of these captions; validation images need that of the training images.
        store: a folder for the decoded images; in memory when left out.
        progress: as in `phasejax.sweep`.

    Returns:
        Images in the order of their numbers, with 80 classes from 0 on in the order of COCO's numbers. `scenes`
        describe up to six other categories in the image.

    Raises:
        ValueError: in one line: files that are missing, no JSON or of another layout; captions or annotations of images
            or categories that are not listed; images without a caption; more than 1 % of the images missing or cut
            short.
        UserWarning: at most 1 % of the images are left out, with their names.

    Source: Lin et al. 2014, Microsoft COCO; K26, section 4.3.
    """
    check_path("root", root)
    check_choice("split", split, ("train", "val"))
    check_count("size", size, 8, _LARGEST_SIDE)
    part = f"{split}2017"
    with reporting(progress) as tell:
        return _loaded(Path(root), part, size, length, most, vocabulary, store, tell)


def _loaded(root: Path, part: str, size: int, length: int, most: int | None, vocabulary: Vocabulary | None,
            store: str | None, tell: ProgressCallback) -> CaptionPairs:
    file = Path(root, "annotations", f"instances_{part}.json")
    instances = _read(file, ("images", "annotations", "categories"))
    with reading(str(file), "images, annotations and categories as COCO has them"):
        categories = sorted(instances["categories"], key=lambda one: one["id"])
        images = {one["id"]: one for one in instances["images"]}
        numbers = {one["id"]: i for i, one in enumerate(categories)}
        names = tuple(str(one["name"]) for one in categories)
        if len(numbers) < len(names):
            raise ValueError(f"{file}: expected each category once, got {len(names)} with {len(numbers)} ids")
        things = _by_image(instances["annotations"], images, file,
                           lambda one: _thing(one, numbers, file))
        sides = {one["id"]: (float(one["width"]), float(one["height"])) for one in instances["images"]}
    tell(f"annotations of {part}", 1, 2)
    captions_file = Path(root, "annotations", f"captions_{part}.json")
    read = _read(captions_file, ("annotations",))
    with reading(str(captions_file), "annotations with image_id and caption"):
        captions = _by_image(read["annotations"], images, captions_file, lambda one: one["caption"].strip())
    tell(f"annotations of {part}", 2, 2)
    shown = np.array(sorted(things))
    if not shown.size:
        raise ValueError(f"{file}: expected annotated images, got none")
    silent = [image for image in shown.tolist() if image not in captions]
    if silent:
        raise ValueError(f"{captions_file}: expected a caption of each annotated image, got none of {len(silent)}, "
                         f"such as {images[silent[0]].get('file_name')}")
    if most is not None and most < len(shown):
        check_count("most", most)
        shown = np.sort(np.random.default_rng(0).permutation(shown)[:most])
    files = [str(images[image].get("file_name")) for image in shown.tolist()]
    decoded, kept, skipped = decode_folder(Path(root, part), files, size, store=store and Path(store, part),
                                           progress=tell)
    shown = shown[kept].tolist()
    if vocabulary is None:
        vocabulary = build_vocabulary(text for image in shown for text in captions[image])
    return CaptionPairs(
        images=decoded, tokens=_tokens([captions[image] for image in shown], vocabulary, length),
        labels=np.array([max(things[image], key=lambda one: one[1])[0] for image in shown], np.int32),
        label_names=names, vocabulary=vocabulary, ids=np.array([str(image) for image in shown]),
        groups=np.arange(len(shown), dtype=np.int32), skipped=tuple(skipped),
        scenes=np.stack([scene_tokens(things[image], sides[image], names, vocabulary) for image in shown]))


def _read(file: Path, wanted: tuple[str, ...]) -> dict[str, Any]:
    """A file of annotations, without outlines of objects, which are nine tenths of it."""
    check_regular_file(file)
    with reading(str(file), "a JSON file"), open(file, encoding="utf-8") as opened:
        content = json.load(opened, object_pairs_hook=lambda pairs: {
            key: value for key, value in pairs if key != "segmentation"})
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in wanted):
        raise ValueError(f"{file}: expected lists named {', '.join(wanted)}, got another JSON file")
    return content


def _by_image(annotations: list, images: dict, file: Path, about: Callable[[dict], Any]) -> dict[int, list]:
    """What is annotated of each image."""
    found: dict[int, list] = {}
    for one in annotations:
        found.setdefault(_listed(one["image_id"], images, "image", file), []).append(about(one))
    return found


def _thing(one: dict, numbers: dict, file: Path) -> tuple[int, float, tuple[float, float, float, float]]:
    """Category, area and box of an annotated thing."""
    area, (x, y, width, height) = float(one["area"]), map(float, one["bbox"])
    if not all(math.isfinite(number) for number in (area, x, y, width, height)):
        raise ValueError(f"{file}: expected finite areas and boxes, got {area} and {one['bbox']}")
    return numbers[_listed(one["category_id"], numbers, "category", file)], area, (x, y, width, height)


def _listed(number: Any, known: dict, what: str, file: Path) -> Any:
    if number not in known:
        raise ValueError(f"{file}: expected annotations of listed {what.replace('category', 'categorie')}s, got one of "
                         f"{what} {number}")
    return number


def _tokens(captions: list[list[str]], vocabulary: Vocabulary, length: int) -> np.ndarray:
    """As many captions of each image as most have; an image with fewer repeats its own."""
    count = int(np.median([len(own) for own in captions]))
    return np.stack([[vocabulary.encode(own[i % len(own)], length) for i in range(count)] for own in captions])

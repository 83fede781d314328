"""A tiny folder laid out as COCO 2017, with real JPEG files."""

import json

import numpy as np
from PIL import Image

CATEGORIES = [{"id": 1, "name": "dog"}, {"id": 3, "name": "dining table"}, {"id": 90, "name": "toothbrush"}]


def make_coco(root, split="train", n=12, sides=(48, 32)):
    """Images of one colour with a white left edge; image i has a dog of area 100, and from i = 1 on i more things."""
    folder, width, height = root / f"{split}2017", *sides
    folder.mkdir(parents=True)
    (root / "annotations").mkdir(exist_ok=True)
    images, things, captions = [], [], []
    for i in range(n):
        number, name = 7 * i + 5, f"{i:012d}.jpg"
        pixels = np.full((height, width, 3), (20 * i % 256, 90, 200), np.uint8)
        pixels[:, :width // 4] = 255
        Image.fromarray(pixels).save(folder / name, quality=95)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        areas = [(1, 100.0), *((3, 60.0) for _ in range(i % 3)), *([(90, 700.0)] if i % 4 == 3 else [])]
        things += [{"image_id": number, "category_id": category, "area": area, "bbox": [1, 1, 10, 10],
                    "segmentation": [[0, 0, 1, 1]]} for category, area in areas]
        captions += [{"image_id": number, "caption": f"A dog sits, number {j} of {i}"} for j in range(5 + (i == 2))]
    contents = {"instances": {"images": images, "annotations": things, "categories": CATEGORIES[::-1]},
                "captions": {"images": images, "annotations": captions}}
    for kind, content in contents.items():
        (root / "annotations" / f"{kind}_{split}2017.json").write_text(json.dumps(content))
    return root


def change(root, kind, edit, split="train"):
    """Rewrite a file of annotations after a function has changed its content."""
    file = root / "annotations" / f"{kind}_{split}2017.json"
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))

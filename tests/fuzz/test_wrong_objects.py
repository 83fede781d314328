"""Objects of a wrong kind: public functions refuse them in one line that names the argument."""

import re

import pytest

from tests.fuzz.public_functions import calls

# Left out: what may be nearly anything, and functions whose wrong inputs are part of their result.
_ANYTHING = {("sweep", "axes"), ("_encoded", "y"), ("_hard_bottleneck", "rank"), ("_hard_bottleneck", "other"),
             ("inspect_pair", "labelled"), ("inspect_pair", "label_kind"), ("inspect_pair", "k"), ("as_named", "name"),
             ("encode_labels", "kind"), ("_encoded", "encoder"), ("compare_with_diagnosis", "scores")}


@pytest.mark.parametrize("wrong", [object(), ...], ids=lambda one: type(one).__name__)
def test_wrong_objects_are_refused_by_name(wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = []
    for call in calls():
        for name in set(call.arguments) - {left for function, left in _ANYTHING if function == call.name}:
            try:
                call.function(**(call.arguments | {name: wrong}), **call.ready)
            except (ValueError, TypeError) as error:
                if type(error).__name__ == "TypeCheckError":  # annotations are checked at every call in this run
                    continue
                if "\n" in str(error) or not re.search(rf"\b{name}\b", str(error), re.IGNORECASE):
                    bad.append((call.name, name, f"{type(error).__name__}: {error!s:.150}"))
            except Exception as error:
                bad.append((call.name, name, f"{type(error).__name__} {error!s:.100}"))
            else:
                bad.append((call.name, name, "accepted"))
    assert not bad, "\n".join(map(str, bad))

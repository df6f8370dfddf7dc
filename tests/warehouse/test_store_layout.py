"""The documents of a store come from elsewhere: a file can only have a name inside the folder it is fetched to."""

import json

import pytest
from pydantic import ValidationError

from warehouse.store.layout import Manifest, Pointer

RELEASE = "20260101T000000Z-0123abcd"
GOOD = [
    f"published/{RELEASE}.duckdb",
    f"published/{RELEASE}.pack/vectors.npy",
    "models/20260101T000000Z-0123abcd/users.ann",
]
BAD = ["../x", "/etc/passwd", "published/../../x", "published/..", "published/.incoming-x", "published//x",
       "landing/x.csv", "published", "published/a/b/c", "published/a\nb", "current.duckdb"]  # fmt: skip


def manifest(name: str) -> bytes:
    file = {"name": name, "bytes": 1, "sha256": "0" * 64}
    return json.dumps({"release": RELEASE, "files": [file]}).encode()


@pytest.mark.parametrize("name", GOOD)
def test_files_have_the_names_of_a_home(name: str):
    assert Manifest.model_validate_json(manifest(name)).files[0].name == name


@pytest.mark.parametrize("name", BAD)
def test_a_file_cannot_be_anywhere_else(name: str):
    with pytest.raises(ValidationError, match="pattern"):
        Manifest.model_validate_json(manifest(name))


@pytest.mark.parametrize("release", ["", "..", "20260101T000000Z-0123abcd/..", "current"])
def test_a_pointer_names_a_release(release: str):
    with pytest.raises(ValidationError, match="pattern"):
        Pointer(release=release, manifest_sha256="0" * 64, promoted_at="")

"""Reference results that take minutes, kept under the content of all that determines them.

What is kept in `references.json` by name is a sha256 of the result, with a sha256 of its inputs: the text of
`tests.brute_force`, ratings, vectors and parameters. Change any of them and the result is computed anew. It also is if
an answer differs from what is kept, so that a failing test shows the pair; or for `pytest --recompute`, which keeps it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import brute_force
from tests.brute_force import Ranked, Rating

KEPT = Path(__file__).parent / "data" / "references.json"

Lists = dict[tuple[int, int], Ranked]


def assert_is_brute_force(
    name: str,
    found: Lists,
    ratings: Sequence[Rating],
    vectors: Mapping[int, Sequence[float]],
    parameters: Mapping[str, Any],
    *,
    recompute: bool,
) -> None:
    """Compare recommendations of all pairs with those of the plain loops, by digest where that is known."""
    used = {parameter: parameters[parameter] for parameter in brute_force.PARAMETERS}
    key = _digest(Path(brute_force.__file__).read_text(encoding="utf-8"), ratings, sorted(vectors.items()), used)
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    reference = {"inputs": key, "answer": _digest(sorted(found.items()))}
    if kept.get(name) == reference and not recompute:
        return
    assert found == brute_force.brute_force(ratings, vectors, parameters, processes=2)
    if recompute:
        KEPT.write_text(json.dumps({**kept, name: reference}, indent=2) + "\n", encoding="utf-8")


def _digest(*values: object) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(repr(value).encode())
    return digest.hexdigest()

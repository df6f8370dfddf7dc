"""The pack that lists were computed from: the release made from the same content links to its files.

Belongs here: recognising it. Does not belong here: writing it (`warehouse.recommending`).
"""

import duckdb

from recommender.parameters import ModelParameters
from warehouse.compute.batch import PACK
from warehouse.compute.packs import PackError, WrittenFile, read_manifest, written_arrays
from warehouse.home import Home
from warehouse.tables.model_inputs import neighbourhood_version
from warehouse.tables.versions import digest, table_version


def content_version(con: duckdb.DuckDBPyConnection, parameters: ModelParameters, users_base: str) -> str:
    """Version of all arrays that a pack to compute from and the pack of a release have in common."""
    raw = [table_version(con, table) for table in ("raw.ratings", "raw.movies")]
    return digest("pack", neighbourhood_version(con, parameters), raw, users_base)


def arrays_there(home: Home, content: str) -> dict[str, WrittenFile]:
    """Files of the arrays of this content that computing has left, by name; none if there are none."""
    for pack in home.work.glob(f"*/{PACK}"):
        try:
            if read_manifest(pack).get("content") == content:
                return written_arrays(pack)
        except PackError:
            continue
    return {}

"""Writing model.user_vectors, a stream of blocks, and which version it has. Making the vectors is
`recommender.data.encoder`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recommender.data.encoder import iter_user_vectors, likes_with_vector
from recommender.data.model_data import Neighbourhood
from recommender.parameters import ModelParameters
from warehouse.database import Warehouse
from warehouse.faults import step
from warehouse.queries import count_rows, insert_rows
from warehouse.schemas.definitions import create_table
from warehouse.tables.model_inputs import inputs_version, read_neighbourhood
from warehouse.tables.versions import digest, set_table_version, table_version

TABLE = "model.user_vectors"


@dataclass(frozen=True)
class UserVectorBlock:
    """Unit vectors of consecutive users: user_ids int32 (n,), vectors float32 (n, tags), two int32 (n,) counts."""

    user_ids: NDArray[np.int32]
    vectors: NDArray[np.float32]
    likes: NDArray[np.int32]
    likes_with_vector: NDArray[np.int32]


def make_user_vectors(warehouse: Warehouse, parameters: ModelParameters) -> bool:
    """Rebuild model.user_vectors from the likes as they are; False if it was up to date."""
    version = digest("user_vectors", inputs_version(warehouse.con, parameters), parameters.weighting)
    if table_version(warehouse.con, TABLE) == version:
        return False
    neighbourhood = read_neighbourhood(warehouse, parameters)
    width = neighbourhood.catalogue.vectors.shape[1]
    with warehouse.transaction() as con:
        rows = write_user_vectors(con, _blocks(neighbourhood), width)
        set_table_version(con, TABLE, version, rows)
        step("user_vectors_committing")
    return True


def _blocks(neighbourhood: Neighbourhood) -> Iterator[UserVectorBlock]:
    """Unit vectors of all users, a block at a time."""
    likes = neighbourhood.likes
    liked = np.diff(likes.indptr).astype(np.int32)
    with_vector = likes_with_vector(likes, neighbourhood.catalogue)
    for low, high, vectors in iter_user_vectors(likes, neighbourhood.catalogue):
        yield UserVectorBlock(likes.user_ids[low:high], vectors, liked[low:high], with_vector[low:high])


def write_user_vectors(con: duckdb.DuckDBPyConnection, blocks: Iterable[UserVectorBlock], width: int) -> int:
    """Replace model.user_vectors, streaming the blocks through one statement; return its rows.

    The vectors are stored uncompressed: they do not compress (a fiftieth is saved), and trying takes half the time.
    """
    con.execute(create_table(TABLE, width))
    schema = pa.schema(
        [
            ("user_id", pa.int32()),
            ("vector", pa.list_(pa.float32(), width)),
            ("likes", pa.int32()),
            ("likes_with_vector", pa.int32()),
        ]
    )

    def batches() -> Iterator[pa.RecordBatch]:
        for block in blocks:
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(block.vectors.reshape(-1)), width)
            arrays = [pa.array(block.user_ids), vectors, pa.array(block.likes), pa.array(block.likes_with_vector)]
            yield pa.record_batch(arrays, schema=schema)

    con.execute("SET force_compression = 'uncompressed'")
    try:
        insert_rows(con, TABLE, pa.RecordBatchReader.from_batches(schema, batches()))
    finally:
        con.execute("RESET force_compression")
    return count_rows(con, TABLE)

"""Writing model.user_vectors, a stream of blocks. Making the vectors is `recommender.data.encoder`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from warehouse.queries import count_rows, insert_rows
from warehouse.schemas.definitions import create_table


@dataclass(frozen=True)
class UserVectorBlock:
    """Unit vectors of consecutive users: user_ids int32 (n,), vectors float32 (n, tags), two int32 (n,) counts."""

    user_ids: NDArray[np.int32]
    vectors: NDArray[np.float32]
    likes: NDArray[np.int32]
    likes_with_vector: NDArray[np.int32]


def write_user_vectors(con: duckdb.DuckDBPyConnection, blocks: Iterable[UserVectorBlock], width: int) -> int:
    """Replace model.user_vectors, streaming the blocks through one statement; return its rows.

    The vectors are stored uncompressed: they do not compress (a fiftieth is saved), and trying takes half the time.
    """
    con.execute(create_table("model.user_vectors", width))
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
        insert_rows(con, "model.user_vectors", pa.RecordBatchReader.from_batches(schema, batches()))
    finally:
        con.execute("RESET force_compression")
    return count_rows(con, "model.user_vectors")

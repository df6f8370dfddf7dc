"""Partition definitions: months of ratings, shards of pairs, buckets of users."""

import dagster as dg

from warehouse.compute.units import SHARDS
from warehouse.schemas.table import FIRST_MONTH

months = dg.MonthlyPartitionsDefinition(start_date=FIRST_MONTH, timezone="UTC", end_offset=1)
"""Months of `rated_at` (UTC), the present one included."""

shards = dg.StaticPartitionsDefinition([str(shard) for shard in range(SHARDS)])
"""Shards of the pairs by the pair's smaller movie_id, and buckets of the users by a hash of the user_id."""

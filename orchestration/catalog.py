"""What the asset catalog says of every asset alike: the version of its code, where that is, the columns of its table.

Belongs here: what follows from code and schemas, in one place. Does not belong here: what a materialization found
(`assets.common`), ages (`orchestration.freshness`).
"""

import warnings
from collections.abc import Sequence

import dagster as dg

from assets.common import column_schema
from warehouse.code import code_version
from warehouse.schemas.models import WORKING_MODELS
from warehouse.schemas.table import sql_types


def with_catalog(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """Give assets their code version, links to their code, and the columns of their tables before these are made.

    The version is that of all code that makes content, as it is in the versions of tables and on releases: a step is
    out of date for Dagster exactly when it is for the platform.
    """
    described = [definition.map_asset_specs(_described) for definition in assets]
    with warnings.catch_warnings():  # links to code are "in beta", said three times for each asset
        warnings.simplefilter("ignore", dg.BetaWarning)
        return list(dg.with_source_code_references(described))  # type: ignore[arg-type]


def _described(spec: dg.AssetSpec) -> dg.AssetSpec:
    table = ".".join(spec.key.path)
    known = spec.replace_attributes(code_version=code_version())
    if table not in WORKING_MODELS:
        return known
    columns = column_schema(table, sql_types(WORKING_MODELS[table]))
    return known.merge_attributes(metadata={"dagster/table_name": table, "dagster/column_schema": columns})

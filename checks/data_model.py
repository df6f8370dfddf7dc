"""docs/data-model.md, written from the models and the checks.

What a release's tables hold, what is checked before it goes live, and the working tables behind it.

Run ``python -m checks.data_model`` after a change to either; a test holds the file against it.
"""

from pathlib import Path

from checks.release.suite import ASSET, RELEASE_CHECKS
from checks.settings import CheckSettings
from checks.tables.incoming import FILE_CHECKS, FILES_ASSET, REQUEST_CHECKS, REQUESTS_ASSET
from checks.tables.suite import TABLE_CHECKS
from recommender.evaluation.metrics import ACCURACY, VARIETY
from warehouse.releases.release_file import MACROS, STORAGE_VERSION, VIEWS
from warehouse.schemas.in_words import column_rules, table_facts
from warehouse.schemas.models import PUBLISHED_MODELS, WORKING_MODELS
from warehouse.schemas.table import Table, sql_types
from warehouse.sql import description

PAGE = Path(__file__).parent.parent / "docs" / "data-model.md"

HEAD = """\
# The data model

Written from `checks/` by `python -m checks.data_model`; do not edit it here.

`n_tags` is the number of rows of `genome_tags`. Times are UTC without a zone. Columns are NOT NULL unless they say
"may be NULL"; there are no SQL constraints, every release is checked against these rules before it goes live.

## A release: the public contract

Consumers open `published/current.duckdb`, or a release by its own name, read-only, with any DuckDB from
{oldest} on. Every table, column, view and macro has a comment that says what it is: `FROM duckdb_tables()`,
`duckdb_columns()`, `duckdb_views()`, `duckdb_functions()`.

{objects}
"""

WORKING = """\
## The working database

Nobody but the pipeline opens it. It is described for those who work on the pipeline.
"""


def _table(name: str, model: type[Table], published: bool) -> str:
    lines = [
        f"### {name}",
        "",
        " ".join((model.__doc__ or "").split()),
        "",
        "| column | type | | values |",
        "|---|---|---|---|",
    ]
    columns = model.to_schema().columns
    for column, kind in sql_types(model).items():
        rules = column_rules(model, column).replace("|", "\\|")
        lines.append(f"| `{column}` | {kind} | {columns[column].description} | {rules} |")
    facts = [f"- {fact}" for fact in table_facts(model, published)]
    return "\n".join([*lines, *(["", *facts] if facts else []), ""])


CHECKS = """\
## Checks

Of the working tables, by the asset whose tab shows them, and of every staged release. A check that *stops* ends the
run; one that *gates* keeps a release from going live, if it fails with severity error or has no recorded result; the
others inform. Results are in the release's table `checks`.
"""

THRESHOLDS = """\
## Thresholds

An installation changes them in `checks.toml` in its home, one `name = value` per line.
"""


def _checks() -> str:
    lines = ["| check | asset | what must hold | |", "|---|---|---|---|"]
    for check in TABLE_CHECKS:
        role = "stops" if check.stops else "gates" if check.gates else ""
        lines.append(f"| `{check.name}` | {check.asset} | {check.description} | {role} |")
    for announced in RELEASE_CHECKS:
        role = "gates" if announced.gates else ""
        lines.append(f"| `{announced.name}` | {ASSET} | {announced.description} | {role} |")
    for asset, checks in {FILES_ASSET: FILE_CHECKS, REQUESTS_ASSET: REQUEST_CHECKS}.items():
        lines += [f"| `{name}` | {asset} | {description} | |" for name, description in checks.items()]
    return "\n".join([*lines, ""])


def _thresholds() -> str:
    lines = ["| threshold | default | meaning |", "|---|---|---|"]
    for name, field in CheckSettings.model_fields.items():
        lines.append(f"| `{name}` | {field.default} | {field.description} |")
    return "\n".join([*lines, ""])


def _objects() -> str:
    """Views and macros of a release, and the names that its metrics have."""
    lines = [f"- View `{name}`: {description(name)}" for name in VIEWS]
    lines += [f"- Macro `{name}`: {description(name)}" for name in MACROS]
    metrics = ", ".join(f"`{name}`" for name in (*ACCURACY, *VARIETY))
    return "\n".join([*lines, f"- Metrics in `evaluation`: {metrics}."])


def data_model() -> str:
    """The whole page."""
    head = HEAD.format(oldest=STORAGE_VERSION.removeprefix("v").removesuffix(".0"), objects=_objects())
    parts = [head, *(_table(name, model, True) for name, model in PUBLISHED_MODELS.items())]
    parts += [CHECKS, _checks(), THRESHOLDS, _thresholds()]
    parts += [WORKING, *(_table(name, model, False) for name, model in WORKING_MODELS.items())]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(data_model(), encoding="utf-8")

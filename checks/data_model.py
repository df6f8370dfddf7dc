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
from warehouse.schemas.models import PUBLISHED_MODELS, WORKING_MODELS
from warehouse.schemas.table import Table, foreign_keys, sql_types, unique_keys
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


def _range(bounds: dict[str, object]) -> str:
    """Bounds of a column in words."""
    match bounds.get("ge"), bounds.get("le"):
        case None, None:
            return ""
        case low, None:
            return f"from {low}"
        case low, high if low is not None and abs(float(str(low))) >= 1e300:
            return "finite" if abs(float(str(high))) >= 1e300 else f"at most {high}"
        case 1, 2147483647:
            return "from 1"
        case 0, (2147483647 | 9007199254740992):
            return "from 0"
        case low, high:
            return f"{low} to {high}"
    return ""


def _rules(model: type[Table], name: str) -> str:
    """What a column's values must be, in words."""
    column = model.to_schema().columns[name]
    bounds: dict[str, object] = {}
    words = []
    for check in column.checks:
        match check.name:
            case "greater_than_or_equal_to":
                low = check.statistics["min_value"]
                bounds["ge"] = f"{low:%Y-%m-%d}" if hasattr(low, "year") else low
            case "less_than_or_equal_to":
                bounds["le"] = check.statistics["max_value"]
            case "str_length":
                words.append("not empty")
            case "str_matches":
                pattern = check.statistics["pattern"]
                words.append("a JSON object" if pattern == r"^\{" else f"matches `{pattern}`")
            case "isin":
                words.append("one of " + ", ".join(f"`{value}`" for value in check.statistics["allowed_values"]))
            case "elements_between":
                low, high = (column.metadata or {})["elements"]
                words.append(f"every element {low} to {high}")
    found = [_range(bounds), *words, "may be NULL" if column.nullable else ""]
    return "; ".join(word for word in found if word).replace("|", "\\|")


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
        lines.append(f"| `{column}` | {kind} | {columns[column].description} | {_rules(model, column)} |")
    facts = [f"`({', '.join(key)})` occurs once." for key in unique_keys(model)]
    for column, (table, key) in foreign_keys(model).items():
        target = table.split(".")[-1] if published else table
        facts.append(f"`{column}` is in `{target}.{key}`.")
    rows = vars(model.Config).get("metadata", {}).get("rows", {})
    facts += [f"In every row, {meaning}: `{condition}`." for meaning, condition in rows.items()]
    return "\n".join([*lines, *(["", *[f"- {fact}" for fact in facts]] if facts else []), ""])


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

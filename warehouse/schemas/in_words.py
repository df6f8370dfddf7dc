"""What a model demands of a table, in words: for docs/data-model.md and for the data dictionary of a home's site.

Belongs here: bounds, keys and conditions as sentences, with names and patterns in backticks. Does not belong here: the
demands themselves (the models), or checking them (`checks.tables.conformance`).
"""

from warehouse.schemas.table import Table, configured, foreign_keys, unique_keys


def column_rules(model: type[Table], name: str) -> str:
    """What a column's values must be, in words; names and patterns in backticks."""
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
    return "; ".join(word for word in found if word)


def table_facts(model: type[Table], published: bool = False) -> list[str]:
    """What holds of a table as a whole, in sentences: keys, and what binds the columns of a row together."""
    facts = [f"`({', '.join(key)})` occurs once." for key in unique_keys(model)]
    for column, (table, key) in foreign_keys(model).items():
        target = table.split(".")[-1] if published else table
        facts.append(f"`{column}` is in `{target}.{key}`.")
    rows = configured(model, "rows")
    return [*facts, *(f"In every row, {meaning}: `{condition}`." for meaning, condition in rows.items())]


def _range(bounds: dict[str, object]) -> str:
    """Bounds of a column in words."""
    match bounds.get("ge"), bounds.get("le"):
        case None, None:
            return ""
        case low, None:
            return f"from {low}"
        case low, high if low is not None and abs(float(str(low))) >= 1e300:
            return "finite" if abs(float(str(high))) >= 1e300 else f"at most {high}"
        case 1, (2147483647 | 9007199254740992):
            return "from 1"
        case 0, (2147483647 | 9007199254740992):
            return "from 0"
        case low, high:
            return f"{low} to {high}"
    return ""

"""The index of the site's search: what can be found, under which words, and where it is.

Belongs here: entries. How they are found is `static/site.js`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from reports.dictionary import Relation
from reports.examples import Example
from reports.history import Known
from warehouse.tables.check_results import CheckResult


class Entry(NamedTuple):
    """Something that can be found, of which kind, what is said about it, and its place in the site."""

    title: str
    kind: str
    text: str
    url: str


def search_index(
    published: Sequence[Relation],
    working: Sequence[Relation],
    known: Sequence[Known],
    chosen: Known,
    examples: Iterable[Example],
    experiments: Iterable[Mapping[str, Any]],
) -> list[dict[str, str]]:
    """Make the entries, the more interesting first: the search keeps this order among equals."""
    found = [
        *_relations(published, "dictionary.html", ""),
        *(Entry(one.question, "query", one.sql, f"queries.html#query-{one.name}") for one in examples),
        *(_check(check) for check in chosen.checks),
        *(
            Entry(one.name, "release", f"{one.entry['state']}, from {one.entry['source']}", f"releases.html#{one.name}")
            for one in reversed(known)
        ),
        *(_experiment(one) for one in experiments),
        *_relations(working, "lineage.html", "working "),
    ]
    return [entry._asdict() for entry in found]


def _relations(relations: Iterable[Relation], page: str, where: str) -> Iterable[Entry]:
    for relation in relations:
        yield Entry(relation.call, f"{where}{relation.kind}", relation.description, f"{page}#{relation.name}")
    for relation in relations:
        for column in relation.columns:
            name = f"{relation.name}.{column.name}"
            yield Entry(name, f"{where}column, {column.type}", column.description, f"{page}#{name}")


def _check(check: CheckResult) -> Entry:
    anchor = f"check-{check.asset.replace('/', '-')}-{check.check_name}"
    return Entry(check.check_name, "check", check.description, f"quality.html#{anchor}")


def _experiment(found: Mapping[str, Any]) -> Entry:
    name = found["experiment"]
    return Entry(name, "experiment", f"{found['decision']}: {found['text']}", f"experiments.html#experiment-{name}")

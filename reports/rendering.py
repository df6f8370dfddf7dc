"""How values are written on the pages of the site, and the templates with the words for it.

Belongs here: the environment of the templates and its filters. Does not belong here: what is shown (`pages`).
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

MOST_TEXT, MOST_ELEMENTS = 160, 6
"""Characters of a text, and elements of a list, that are shown."""


def templates() -> jinja2.Environment:
    """The templates beside this module; a name that is not given to one is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": _cell, "plain": plain, "json": script_json, "time": minute}
    return environment


def _cell(value: Any) -> str:
    """A number of things, a share, a text, for people."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 or value.is_integer() else f"{value:.4g}"
    return plain(value)


def plain(value: Any) -> str:
    """A value of a database, as its clients write it, in one line; long ones are cut."""
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.6g}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case list() | tuple():
            more = ", …" if len(value) > MOST_ELEMENTS else ""
            return _shortened(f"[{', '.join(plain(each) for each in value[:MOST_ELEMENTS])}{more}]")
    return _shortened(str(value))


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "…"


def minute(value: Any) -> str:
    """A time of the registry, to the minute."""
    return str(value)[:16].replace("T", " ")


def script_json(value: Any) -> str:
    """JSON that may stand in a script: no text in it ends the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c")

"""A home's own parameters: what was asked for this time, else its `parameters.toml`, else the defaults.

Belongs here: reading that file, and where each value comes from. Does not belong here: what parameters there are
(`recommender.parameters`).

The file has one `name = value` per line, and every run reads it: of the command line, the Launchpad, the schedules and
sensors.
"""

import tomllib
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from recommender.parameters import ModelParameters, ParameterError, make_parameters
from warehouse.home import Home

PARAMETERS_FILE = "parameters.toml"

Origin = Literal["asked for", "parameters.toml", "default"]


class HomeParameters(ModelParameters):
    """Parameters of a run, with where each value comes from."""

    origins: dict[str, Origin] = Field(default={}, exclude=True, repr=False)
    """By parameter: asked for (command line or Launchpad), parameters.toml, default. Not part of the values."""

    @property
    def by_default(self) -> frozenset[str]:
        """Parameters that nobody has set: neither this run nor the home."""
        return frozenset(name for name, origin in self.origins.items() if origin == "default")


def home_parameters(home: Home, asked: Mapping[str, Any] | None = None) -> HomeParameters:
    """Combine what was asked for with the home's file and the defaults.

    Parameters
    ----------
    home : Home
    asked : mapping, optional
        Values by parameter, as text or typed (`recommender.parameters.read_settings`).

    Raises
    ------
    ParameterError
        If the file cannot be read, or a value cannot be; the message names the file or the parameter.
    """
    asked = asked or {}
    path = home.root / PARAMETERS_FILE
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path} cannot be read: {error}") from None
    try:
        values = make_parameters(settings={**written, **asked})
    except ParameterError as error:
        raise ParameterError(f"{error} (with the values in {path})" if written else str(error)) from None
    origins: dict[str, Origin] = {
        name: "asked for" if name in asked else "parameters.toml" if name in written else "default"
        for name in ModelParameters.model_fields
    }
    return HomeParameters(**values.model_dump(), origins=origins)

"""Settings of the service: read from one variable, and a wrong one is named."""

import pytest

from recommender.errors import UsageError
from serving.settings import SETTINGS_VARIABLE, ServingSettings, settings_from_environment


def test_what_a_server_hands_over_a_worker_reads_back(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = ServingSettings(engine="exact", cached_answers=25, rate_burst=7)
    monkeypatch.setenv(SETTINGS_VARIABLE, chosen.model_dump_json())
    assert settings_from_environment() == chosen
    monkeypatch.delenv(SETTINGS_VARIABLE)
    assert settings_from_environment().engine == "auto"


@pytest.mark.parametrize(
    ("text", "name"),
    [('{"engine": "magic"}', "engine"), ('{"motor": 1}', "motor"), ('{"rate_burst": 0}', "rate_burst"), ("{", "JSON")],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, text: str, name: str) -> None:
    monkeypatch.setenv(SETTINGS_VARIABLE, text)
    with pytest.raises(UsageError, match=name):
        settings_from_environment()

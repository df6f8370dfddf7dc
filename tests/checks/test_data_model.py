"""docs/data-model.md says what the models say."""

from checks.data_model import PAGE, data_model


def test_the_page_is_current() -> None:
    """Write it anew with: python -m checks.data_model"""
    assert PAGE.read_text(encoding="utf-8") == data_model()

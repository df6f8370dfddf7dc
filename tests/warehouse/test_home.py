"""Where a home is, and what is made in it."""

from pathlib import Path

import pytest

from warehouse.home import HOME_VARIABLE, Home


def test_the_folder_given_comes_before_the_variable_and_that_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv(HOME_VARIABLE, "named")
    assert Home.find("given").root == tmp_path / "given"
    assert Home.find("~/data").root == tmp_path / "me" / "data"
    assert Home.find().root == tmp_path / "named"
    monkeypatch.delenv(HOME_VARIABLE)
    assert Home.find().root == tmp_path / "var"


def test_the_folders_of_a_home_are_made_and_kept_and_nothing_else_is(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").create()
    (home.landing / "new.csv").write_text("kept")
    home.create()
    assert {str(path.relative_to(home.root)) for path in home.root.rglob("*")} == {
        "sources", "landing", "landing/new.csv", "models", "published", "dagster", "scratch",
    }  # fmt: skip


def test_all_that_is_of_a_release_lies_beside_its_link(tmp_path: Path) -> None:
    home = Home(tmp_path)
    of_a_release = home.release_file("r"), home.pack_folder("r"), home.report_file("r"), home.current, home.challenger
    assert {path.parent for path in of_a_release} == {home.published}
    assert len({path.name for path in of_a_release}) == 5

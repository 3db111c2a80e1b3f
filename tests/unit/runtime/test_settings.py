from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import Field, SecretStr, ValidationError

from gallery.runtime.settings import MASK, Settings, SettingsError, describe, load


class Kitchen(Settings):
    largest: int = Field(100, title="Largest", description="Largest dish.", json_schema_extra={"unit": "bytes"}, ge=1)
    patience: timedelta = Field(timedelta(seconds=30), title="Patience", description="How long guests wait.")
    token: SecretStr = Field(SecretStr(""), title="Token", description="Opens the door.")
    folder: Path | None = Field(None, title="Folder", description="Where recipes are.")
    guests: tuple[str, ...] = Field((), title="Guests", description="Who comes.")


class Cellar(Settings):
    bottles: int = Field(3, title="Bottles", description="How many.", json_schema_extra={"unit": "bottles"})


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CONFIG", "LARGEST", "PATIENCE", "TOKEN", "FOLDER", "GUESTS", "BOTTLES"):
        monkeypatch.delenv(f"GALLERY_{name}", raising=False)
    return tmp_path / "gallery.toml"


def test_defaults_file_environment_command_line_in_this_order(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('largest = 1\npatience = "PT5M"\ntoken = "file"\n')
    monkeypatch.setenv("GALLERY_PATIENCE", "7.5")
    monkeypatch.setenv("GALLERY_TOKEN", "hush")
    kitchen = load(Kitchen, file=file, given={"token": "spoken", "folder": None})
    assert (kitchen.largest, kitchen.patience, kitchen.folder) == (1, timedelta(seconds=7.5), None)
    assert kitchen.token.get_secret_value() == "spoken"
    described = {setting.name: (setting.value, setting.source, setting.unit) for setting in describe(kitchen)}
    assert described == {
        "largest": ("1", "file", "bytes"),
        "patience": ("7.5", "environment", "seconds"),
        "token": (MASK, "command line", ""),
        "folder": ("", "default", ""),
        "guests": ("", "default", ""),
    }


def test_the_file_may_be_named_by_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('folder = "/recipes"\nguests = ["anna", "ben"]')
    monkeypatch.setenv("GALLERY_CONFIG", str(file))
    kitchen = load(Kitchen)
    assert kitchen.folder == Path("/recipes")
    assert {setting.name: setting.value for setting in describe(kitchen)}["guests"] == "anna, ben"


def test_numbers_in_the_file_and_lists_in_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("patience = 90")
    monkeypatch.setenv("GALLERY_GUESTS", '["anna"]')
    kitchen = load(Kitchen, file=file)
    assert kitchen.patience == timedelta(seconds=90)
    assert kitchen.guests == ("anna",)


def test_an_unknown_key_names_the_nearest_known_one(file: Path) -> None:
    file.write_text("larget = 1")
    with pytest.raises(SettingsError, match=r"gallery\.toml has an unknown key 'larget'; did you mean 'largest'\?"):
        load(Kitchen, file=file)


def test_keys_of_others_that_read_the_same_file_are_known(file: Path) -> None:
    file.write_text("largest = 5\nbottles = 9")
    with pytest.raises(SettingsError, match="unknown key 'bottles'"):
        load(Kitchen, file=file)
    assert load(Kitchen, file=file, beside=[Cellar]).largest == 5
    assert load(Cellar, file=file, beside=[Kitchen]).bottles == 9


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("largest = 0", r"largest \(from file\): Input should be greater than or equal to 1"),
        ("largest = ", "not valid TOML"),
        ("largest = 'secret words'", r"largest \(from file\): Input should be a valid integer"),
    ],
)
def test_a_wrong_value_is_said_clearly_and_not_repeated(file: Path, text: str, complaint: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match=complaint) as wrong:
        load(Kitchen, file=file)
    assert "secret words" not in str(wrong.value)


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(Kitchen, file=file)


def test_every_field_says_what_it_is() -> None:
    with pytest.raises(TypeError, match=r"Mute\.number needs a title and a description"):

        class Mute(Settings):
            number: int = 3


def test_settings_do_not_change(file: Path) -> None:
    file.write_text("")
    kitchen = load(Kitchen, file=file)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(kitchen, "largest", 2)  # noqa: B010 - the type checker would not let us


def test_keys_of_others_pass_where_somebody_else_reads_the_whole_file(file: Path) -> None:
    file.write_text("largest = 1\nbottles = 2\n")
    with pytest.raises(SettingsError, match="bottles"):
        load(Kitchen, file=file)
    assert load(Kitchen, file=file, beside=None).largest == 1

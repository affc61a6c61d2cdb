"""A settings file that is wrong names the field; the entry point says so and ends with 2."""

from pathlib import Path

import pytest
import yaml

from tests.unit.operator.factories import make_settings
from tweetbot_operator.main import main
from tweetbot_operator.settings import SettingsError, load_settings

WRONG = {
    "no images": ({"server": {"url": "https://x"}}, "images"),
    "no number of workers": (
        {"images": {"prepare": "p", "train": "t"}, "server": {"url": "u"}, "workers": 0},
        "workers",
    ),
    "an unknown field": ({"images": {"prepare": "p", "train": "t"}, "server": {"url": "u"}, "worker": 1}, "worker"),
    "a list": ([], "dictionary"),
}


@pytest.mark.parametrize(("document", "want"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_settings_file_names_the_field(document: object, want: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(document))

    with pytest.raises(SettingsError, match=want):
        load_settings(path)


def test_without_certificates_the_operator_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = make_settings(server={"url": "https://x", "tlsDir": str(tmp_path)})
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(settings.to_wire()))

    assert main(["--settings", str(path)]) == 2
    assert "server.tlsDir" in capsys.readouterr().err

"""The catalogue of problems and faults."""

from __future__ import annotations

import string
from pathlib import Path

import pytest

import veltrix.registration
from veltrix.domain.outcomes import Refusal
from veltrix.registration import catalogue
from veltrix.registration.headers import LANGUAGES
from veltrix.registration.page_texts import MONTHS, TEXTS, WEEKDAYS

PACKAGE = Path(veltrix.registration.__file__).parent


def placeholders(text):
    """The names in braces."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_refusal_has_a_status():
    """No refusal of the decider is without an HTTP status, and each is a client's."""
    assert set(catalogue.REFUSAL_STATUS) == set(Refusal)
    assert all(400 <= status < 500 for status in catalogue.REFUSAL_STATUS.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_problem_has_its_words(language):
    """Each refusal and each problem of the edge has one entry in each language, and no entry is idle."""
    assert set(catalogue.PROBLEMS[language]) == set(catalogue.STATUS)
    for words in catalogue.PROBLEMS[language].values():
        assert words.title.strip()
        assert words.detail.strip().endswith((".", "."))


def test_every_fault_has_its_words():
    """Each fault has a remedy in each language, with the same parameters."""
    assert set(catalogue.FAULTS["en"]) == set(catalogue.FAULTS["de"])
    for code, english in catalogue.FAULTS["en"].items():
        german = catalogue.FAULTS["de"][code]
        assert placeholders("".join(english)) == placeholders("".join(german)), code


def test_languages_take_the_same_parameters():
    """A problem is filled with the same parameters in each language."""
    for code, english in catalogue.PROBLEMS["en"].items():
        german = catalogue.PROBLEMS["de"][code]
        assert placeholders(english.detail) == placeholders(german.detail), code


def test_no_fault_is_idle_or_unknown():
    """Every fault in the catalogue is used in the code."""
    code = "".join(
        path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py") if "catalogue" not in path.name
    )
    assert [fault for fault in catalogue.FAULTS["en"] if f'"{fault}"' not in code] == []


def test_the_pages_speak_every_language():
    """Each text of the pages is there in each language, with the same parameters."""
    assert set(TEXTS) == set(WEEKDAYS) == set(MONTHS) == set(LANGUAGES)
    for key, english in TEXTS["en"].items():
        assert placeholders(english) == placeholders(TEXTS["de"][key]), key
    assert set(TEXTS["en"]) == set(TEXTS["de"])


def test_no_text_of_the_pages_is_idle():
    """Every text is used by a template or by the code."""
    used = "".join(
        path.read_text(encoding="utf-8")
        for path in [*PACKAGE.glob("templates/*.html"), PACKAGE / "page_views.py", PACKAGE / "pages.py"]
    )
    families = ("status_", "lead_", "done_", "not_open_", "in_", "mail_")
    idle = [key for key in TEXTS["en"] if key not in used and not key.startswith(families)]
    assert idle == []

"""What people read, by language: catalogues in ``study/web/texts``, replaced in part by a study."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources

from commonweal.errors import InputError
from commonweal.study.config import LANGUAGES, StudyConfig

Translate = Callable[..., str]


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """All texts of a language, by "part.key"."""
    file = resources.files("commonweal.study.web") / "texts" / f"{language}.toml"
    parts = tomllib.loads(file.read_text(encoding="utf-8"))
    return {
        f"{part}.{key}": text.strip() for part, keys in parts.items() for key, text in keys.items()
    }


def translator(config: StudyConfig, language: str, kind: str = "study") -> Translate:
    """A function from a text's name and what is filled in to the text in that language.

    In a quick session a text gives way to the one with "_quick" at the end of its name: people in
    a town meeting take part in no research.
    """
    texts = {**catalogue(language), **config.texts.get(language, {})}  # type: ignore[call-overload]
    ending = "_quick" if kind == "quick" else ""

    def translate(key: str, **filled: object) -> str:
        text: str = texts.get(key + ending) or texts[key]
        # Not str.format: a text is a person's, and must not reach into objects.
        for name, value in filled.items():
            text = text.replace("{" + name + "}", str(value))
        return text

    return translate


def check_texts(config: StudyConfig) -> None:
    """Returns where every text that the study replaces is one that there is.

    Raises:
        InputError: one is not.
    """
    for language, texts in config.texts.items():
        for key in texts:
            if key not in catalogue(language):
                raise InputError(
                    f"texts.{language}: there is no text {key!r}; expected one of the names in "
                    f"study/web/texts/{language}.toml, such as consent.information"
                )


def choose_language(config: StudyConfig, asked: str, accepted: str) -> str:
    """The language for somebody who asked for one, or whose browser accepts some."""
    wanted = [asked, *(part.split(";")[0].strip()[:2] for part in accepted.split(","))]
    offered: list[str] = [each for each in config.languages if each in LANGUAGES]
    return next((each for each in wanted if each in offered), offered[0])

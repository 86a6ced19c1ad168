"""Texts of users as they are: what stands in the warehouse may look like Markdown."""

import re

PUNCTUATION = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>$&:])")
EMOJI = re.compile(r":(?!\d\d:)(?=[\w+/-]+:)")  # and no time of day
JOINER = "\u2060"  # has no width; it parts what would be the name of an emoji or an icon


def markdown(text: object) -> str:
    """Return a text as Markdown that shows it as it is, in one line."""
    return PUNCTUATION.sub(r"\\\1", EMOJI.sub(f":{JOINER}", " ".join(str(text).split())))

"""Files of YAML that a user writes: read into models of pydantic, each fault a sentence with the file and the line."""

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError

from .errors import AmplitudeError
from .text_files import read_text

M = TypeVar("M", bound=BaseModel)
Place = Sequence[str | int]
QUOTES = "texts with brackets, colons or % need quotes"


class PlacedError(ValueError):
    """What is wrong within a model, at a place in it."""

    def __init__(self, sentence: str, *place: str | int) -> None:
        super().__init__(sentence)
        self.place = place


class Strict(BaseModel):
    """A model that takes no key but its own and no value of another type, and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def read(path: Path, root: Path, model: type[M] | Callable[[object], type[M]], context: object = None) -> M:
    """Read a file that a user has written.

    Args:
        path: of the file.
        root: the repository's folder, from which a sentence names the file if it lies there.
        model: of the file's content, or what gives it for a content.
        context: what validators of the model ask for, such as the words that a file may use.

    Raises:
        AmplitudeError: the first fault, with its line and the nearest valid word.
    """
    name, text = path.relative_to(root) if path.is_relative_to(root) else path, read_text(path)
    try:
        marked = YAML().load(text)
        content = YAML(typ="safe").load(text)
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise AmplitudeError(f"{name}{line}: {error.problem}; {QUOTES}.") from error
    content = {} if content is None else content
    chosen: type[M] = model if isinstance(model, type) else model(content)
    try:
        return chosen.model_validate(content, context=context)
    except ValidationError as error:
        fault = first_fault(error)
        cause = fault.get("ctx", {}).get("error")
        place = (*fault["loc"], *(cause.place if isinstance(cause, PlacedError) else ()))
        raise AmplitudeError(f"{name}, line {line_of(marked, place)}: {sentence(fault, chosen)}") from error


def first_fault(error: ValidationError) -> ErrorDetails:
    """Return the first fault; one that a key is missing comes last, because a misspelt key may be the cause."""
    return min(error.errors(include_url=False), key=lambda fault: fault["type"] == "missing")


def line_of(marked: Any, place: Place) -> int:
    """Return the line of a place in a document, or that of the innermost part of it that has one, from 1."""
    line = 0
    for step in place:
        if not isinstance(marked, CommentedMap | CommentedSeq):
            break
        try:
            line = marked.lc.key(step)[0] if isinstance(step, str) else marked.lc.item(step)[0]
            marked = marked[step]
        except (KeyError, IndexError, TypeError):
            continue  # such as the tag of a union, which stands nowhere
    return line + 1


def sentence(fault: ErrorDetails, model: type[BaseModel]) -> str:
    """Return what is wrong, with the nearest valid word."""
    names = [str(step) for step in fault["loc"]]
    where, name = ".".join(names), names[-1] if names else "the file"
    if fault["type"] == "extra_forbidden":
        return f"{where} means nothing here{_nearest(name, sorted(set(_keys(_model_at(model, fault['loc'])))))}"
    if fault["type"] == "missing":
        return f"{where} is missing."
    if fault["type"] == "literal_error":
        words = [word.strip("'") for word in fault["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f"{where} is {fault['input']!r}{_nearest(str(fault['input']), words)}"
    if fault["type"] in ("dict_type", "model_type"):
        return f"{where or name} is {fault['input']!r}: write keys and their values below it."
    if fault["type"] == "value_error":
        return f"{where}: {fault['ctx']['error']}" if where else str(fault["ctx"]["error"])
    return f"{where or name} is {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}."


def _nearest(word: str, words: Sequence[str]) -> str:
    near = get_close_matches(word, words, n=1)
    return f"; did you mean {near[0]}?" if near else f"; write {', '.join(words)}."


def _model_at(model: type[BaseModel], place: Place) -> type[BaseModel]:
    """The model whose key the last step of a place is; steps that are no keys are names, numbers and tags."""
    for step in place[:-1]:
        hints = [field.annotation for name, field in model.model_fields.items() if step in (name, field.alias)]
        hints = hints or [field.annotation for name, field in model.model_fields.items() if name == "root"]
        model = next((within for hint in hints for within in _models(hint)), model)
    return model


def _keys(model: type[BaseModel]) -> Iterator[str]:
    """Yield the keys that a model takes, and those of each of its entries if it is a mapping."""
    for name, field in model.model_fields.items():
        if name != "root":
            yield field.alias or name
        else:
            yield from (key for within in _models(field.annotation) for key in _keys(within))


def _models(hint: Any) -> Iterator[type[BaseModel]]:
    if get_origin(hint) in (Union, UnionType, Annotated, dict, list, tuple):
        for part in get_args(hint):
            yield from _models(part)
    elif isinstance(hint, type) and issubclass(hint, BaseModel):
        yield hint

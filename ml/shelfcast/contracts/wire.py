"""JSON of the generated dataclasses: camelCase keys, ISO dates; absent keys have their default."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

#: Largest integer of which JavaScript knows that it is exact, 2^53 - 1.
_MAX_SAFE_INTEGER = 9_007_199_254_740_991
_TYPE_NAMES = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
}


class Bounds(NamedTuple):
    """Lowest and highest value of a number; the lowest one itself may be excluded."""

    minimum: float
    maximum: float


class ContractError(ValueError):
    """A JSON value that does not fit its dataclass; the message names the path."""


def decode(type_: type[T], value: object, path: str) -> T:
    """Returns a JSON value as an instance of a generated dataclass.

    Args:
        type_: The dataclass.
        value: Parsed JSON.
        path: Name of the value in messages, for example ``spec.json``.

    Raises:
        ContractError: A key is unknown or missing, or a value is of another type. Bounds and patterns are
            checked where a value enters the pipeline.
    """
    decoded: T = _decode(type_, value, path)
    return decoded


def read_json(type_: type[T], path: Path) -> T:
    """Returns the content of a JSON file as an instance of a generated dataclass.

    Raises:
        FileNotFoundError: There is no such file.
        json.JSONDecodeError: The file holds no JSON.
        ContractError: The content does not fit, as for ``decode``; the message begins with the file's name.
    """
    return decode(type_, json.loads(path.read_text(encoding="utf-8")), path.name)


def default(type_: type[Any], field: str) -> Any:
    """Returns the default of a field of a generated dataclass."""
    return next(each.default for each in fields(type_) if each.name == field)


def bounds(type_: type[Any], field: str) -> Bounds:
    """Returns the bounds of a number of a generated dataclass."""
    hint = get_type_hints(type_, include_extras=True)[field]
    return next(each for each in hint.__metadata__ if isinstance(each, Bounds))


def encode(value: Any) -> Any:
    """Returns an instance of a generated dataclass as a JSON value.

    An optional field that is None is left out; a field that may be null stays.
    """
    if is_dataclass(value):
        return {
            _camel_case(field.name): encode(item)
            for field in fields(value)
            if (item := getattr(value, field.name)) is not None or field.default is not None
        }
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value


def _decode(type_: Any, value: Any, path: str) -> Any:
    origin, arguments = get_origin(type_), get_args(type_)
    if is_dataclass(type_):
        return _decode_object(type_, value, path)
    if origin in (UnionType, Union):
        return _decode_union(arguments, value, path)
    if origin is Literal:
        if any(value == argument and type(value) is type(argument) for argument in arguments):
            return value
        raise _mismatch(path, " or ".join(f'"{argument}"' for argument in arguments), value)
    if origin is list:
        items = _checked(list, "a list", value, path)
        return [_decode(arguments[0], item, f"{path}[{index}]") for index, item in enumerate(items)]
    if origin is dict:
        entries = _checked(dict, "an object", value, path)
        return {
            _decode(arguments[0], key, f"{path}.{key}"): _decode(arguments[1], item, f"{path}.{key}")
            for key, item in entries.items()
        }
    if type_ is date:
        return _decode_date(value, path)
    if type_ is float:
        return _decode_number(value, path)
    if type(value) is not type_ or (type_ is int and abs(value) > _MAX_SAFE_INTEGER):
        raise _mismatch(path, _TYPE_NAMES[type_], value)
    return value


def _decode_object(type_: Any, value: Any, path: str) -> Any:
    entries = _checked(dict, "an object", value, path)
    types = get_type_hints(type_)
    names = {_camel_case(field.name): field for field in fields(type_)}
    for key in entries:
        if key not in names:
            raise ContractError(f"{path}.{key}: unknown key of {type_.__name__}")
    for key, field in names.items():
        if key not in entries and (field.default is MISSING or _is_constant(types[field.name])):
            raise ContractError(f"{path}.{key}: missing from {type_.__name__}")
        if field.default is None and entries.get(key, MISSING) is None:
            raise ContractError(f"{path}.{key}: may be absent from {type_.__name__}, but not null")
    decoded = {
        names[key].name: _decode(types[names[key].name], item, f"{path}.{key}")
        for key, item in entries.items()
    }
    return type_(**decoded)


def _decode_union(members: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and NoneType in members:
        return None
    members = tuple(member for member in members if member is not NoneType)
    if len(members) == 1:
        return _decode(members[0], value, path)
    plain = [member for member in members if not is_dataclass(member)]
    if plain:
        fitting = [member for member in plain if type(value) is (get_origin(member) or member)]
        if not fitting:
            names = (_TYPE_NAMES.get(get_origin(member) or member, "a value") for member in plain)
            raise _mismatch(path, " or ".join(names), value)
        return _decode(fitting[0], value, path)
    entries = _checked(dict, "an object", value, path)
    key, by_tag = _tags(members)
    tag = entries.get(key)
    if not isinstance(tag, str) or tag not in by_tag:
        raise _mismatch(f"{path}.{key}", " or ".join(f'"{tag}"' for tag in by_tag), tag)
    return _decode_object(by_tag[tag], value, path)


def _is_constant(type_: Any) -> bool:
    """Whether the type has one value: JSON must have it, and only constructors may leave it out."""
    return get_origin(type_) is Literal and len(get_args(type_)) == 1


def _tags(members: tuple[Any, ...]) -> tuple[str, dict[Any, Any]]:
    """Returns the field whose literal tells the members of a union apart, and the member of each literal."""
    hints = [get_type_hints(member) for member in members]
    for name, type_ in hints[0].items():
        if get_origin(type_) is Literal and all(get_origin(each.get(name)) is Literal for each in hints):
            return name, {
                tag: member
                for member, each in zip(members, hints, strict=True)
                for tag in get_args(each[name])
            }
    raise TypeError(f"no field tells these apart: {', '.join(member.__name__ for member in members)}")


def _decode_number(value: Any, path: str) -> float:
    try:
        number = float(value) if type(value) in (int, float) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _mismatch(path, _TYPE_NAMES[float], value)
    return number


def _decode_date(value: Any, path: str) -> date:
    text = _checked(str, "a date", value, path)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # fromisoformat also reads 20120127 and 2012-W04-5.
    if day is None or day.isoformat() != text:
        raise _mismatch(path, "a date", value)
    return day


def _checked(type_: type[T], name: str, value: Any, path: str) -> T:
    if not isinstance(value, type_):
        raise _mismatch(path, name, value)
    return value


def _mismatch(path: str, expected: str, value: Any) -> ContractError:
    return ContractError(f"{path}: expected {expected}, found {value!r}")


def _camel_case(name: str) -> str:
    # A name that Python reserves has an underscore behind it.
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name.removesuffix("_"))

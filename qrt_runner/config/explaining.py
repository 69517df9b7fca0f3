"""Turns pydantic's errors into mistakes by the path the user types; knows pydantic only."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.config.fields import PROJECTED
from qrt_runner.errors import Mistake

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

Schema = dict[str, Any]
_KINDS: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}

_NO_PROJECTORS: Final = "and no projectors, whose readout errors cannot be mitigated"


def mistakes_in(error: ValidationError, model: type[BaseModel], data: Mapping[str, Any]) -> list[Mistake]:
    """Return one mistake per place that pydantic objects to."""
    schema = model.model_json_schema()
    return [_mistake(detail, schema, data) for detail in error.errors(include_url=False)]


def nearest(word: str, words: Sequence[str]) -> str | None:
    """Return the word of `words` that `word` was probably meant to be."""
    found = difflib.get_close_matches(str(word), words, n=1)
    return found[0] if found else None


def shown(value: object) -> str:
    """Return a value as YAML shows it, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def told_of(schema: Schema, steps: Sequence[str], data: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a field means and which values it takes, each empty where the schema does not say.

    Args:
        schema: JSON schema of the config.
        steps: The field's path.
        data: What of a config tells the kinds of its sections.
    """
    here = _field_at(schema, steps, data)
    if here is None:
        return "", ""
    bare = {key: value for key, value in here.items() if key != "description"}
    return _described(here), _allowed(bare, schema) if _says_something(here) else ""


def words_of(schema: Schema, steps: Sequence[str], data: Mapping[str, Any]) -> list[str]:
    """Return the values of a field that takes no others, as a config writes them; see `told_of`."""
    here = _field_at(schema, steps, data) or {}
    words: list[str] = []
    for option in here.get("anyOf", [here]):
        found = _resolved(option, schema)
        if found.get("type") in ("boolean", "null"):
            words += {"boolean": ["true", "false"], "null": ["null"]}[found["type"]]
        elif "enum" in found or "const" in found:
            words += [str(word) for word in found.get("enum", [found.get("const")])]
        else:
            return []
    return words


def _field_at(schema: Schema, steps: Sequence[str], data: Any) -> Schema | None:
    """Return the JSON schema of a field, None where there is no such place."""
    here = _chosen(schema, schema, data)
    for step in steps:
        data = data.get(step) if isinstance(data, dict) else None
        kinds = [_resolved(kind, schema) for kind in here.get("oneOf", [here])]
        inner = next((kind["properties"][step] for kind in kinds if step in kind.get("properties", {})), None)
        inner = inner or next(iter(here.get("patternProperties", {}).values()), here.get("additionalProperties"))
        if not isinstance(inner, dict):
            return None
        here = _chosen(inner, schema, data)
    return here


def is_open_mapping(schema: Schema, steps: Sequence[str]) -> bool:
    """Tell whether a field is a mapping whose keys are free."""
    here = _field_at(schema, steps, {}) or {}
    return here.get("type") == "object" and here.get("additionalProperties", True) is not False


def _says_something(here: Schema) -> bool:
    return bool({"type", "anyOf", "enum", "const", "discriminator"} & here.keys())


def _mistake(detail: ErrorDetails, schema: Schema, data: Mapping[str, Any]) -> Mistake:
    steps, given = _walk(detail["loc"], data)
    path = ".".join(steps)
    here = _schema_at(schema, steps, data)
    if detail["loc"][-1] == "[key]":
        return Mistake(path, repr(steps[-1]), "a name of at most 100 letters, digits, _ and -", "rename it")
    if detail["type"] == "extra_forbidden":
        return _unknown_key(path, steps[-1], given, _schema_at(schema, steps[:-1], data))
    if detail["type"] == "missing":
        allowed = (here.get("type") == "string" and _described(here)) or _allowed(here, schema)
        return Mistake(path, "nothing", allowed, f"{path}={_example(here, schema)}")
    if detail["type"].startswith("union_tag") and "kind" in str(detail.get("ctx", {}).get("discriminator", "")):
        return _unknown_kind(path, given, here)
    if detail["type"] == PROJECTED:
        return Mistake(path, shown(given), f"{_allowed(here, schema)}, {_NO_PROJECTORS}", _in_paulis(path, detail))
    remedy = f"{path}={_example(here, schema, given)}"
    return Mistake(path, shown(given), _allowed(here, schema), remedy)


def _in_paulis(path: str, detail: ErrorDetails) -> str:
    """Return how an observable with projection operators is written without."""
    instead = detail["ctx"]["instead"]
    return f"'{path}={instead}'" if instead.startswith("{") else f"Pauli strings, of which {instead}"


def _walk(loc: Sequence[int | str], data: Any) -> tuple[list[str], Any]:
    """Follow an error's location through the data, leaving out the union tags that pydantic puts into it."""
    steps: list[str] = []
    for position, step in enumerate(loc):
        inside = (isinstance(data, dict) and step in data) or (isinstance(data, list) and isinstance(step, int))
        if inside:
            data = data[step]
        elif position < len(loc) - 1 or not isinstance(data, dict):
            continue
        else:
            data = None
        steps.append(str(step))
    return [step for step in steps if step != "[key]"], data


def _schema_at(schema: Schema, steps: Sequence[str], data: Any) -> Schema:
    """Return the JSON schema of the place that `steps` lead to, or of the nearest place above that has one."""
    here = _chosen(schema, schema, data)
    for step in steps:
        if isinstance(data, list) and step.isdigit():
            data = data[int(step)]
        else:
            data = data.get(step) if isinstance(data, dict) else None
        inner = here.get("properties", {}).get(step) or next(iter(here.get("patternProperties", {}).values()), None)
        inner = inner or here.get("additionalProperties") or here.get("items")
        here = _chosen(inner, schema, data) if isinstance(inner, dict) else here
    return here


def _chosen(here: Schema, schema: Schema, data: Any) -> Schema:
    """Follow references and, of several kinds, the one that `data` names; of an optional section, the section."""
    here = _resolved(here, schema)
    options = [option for option in here.get("anyOf", []) if option.get("type") != "null"]
    if len(options) == 1 and isinstance(data, dict):
        here = _resolved(options[0], schema)
    mapping = here.get("discriminator", {}).get("mapping", {})
    kind = data.get("kind") if isinstance(data, dict) else None
    return _resolved({"$ref": mapping[kind]}, schema) if isinstance(kind, str) and kind in mapping else here


def _resolved(here: Schema, schema: Schema) -> Schema:
    while "$ref" in here:
        rest = {key: value for key, value in here.items() if key != "$ref"}
        here = {**schema["$defs"][here["$ref"].rsplit("/", 1)[1]], **rest}
    return here


def _unknown_key(path: str, key: str, given: object, parent: Schema) -> Mistake:
    keys = sorted(parent.get("properties", {}))
    meant = nearest(key, keys)
    prefix = path[: -len(key)]
    remedy = f"did you mean {prefix}{meant}?" if meant else f"leave {path} out"
    value = "an unknown key" if given is None or isinstance(given, dict) else f"the unknown key with {shown(given)}"
    return Mistake(path, value, ", ".join(keys) or "nothing here", remedy)


def _unknown_kind(path: str, given: object, here: Schema) -> Mistake:
    kind = given.get("kind") if isinstance(given, dict) else given
    return Mistake(f"{path}.kind", shown(kind), _kinds(here), f"choose one of the group: {path}=<option>")


def _kinds(here: Schema) -> str:
    """Return the kinds of a section, in the order in which they are declared."""
    mapping = here.get("discriminator", {}).get("mapping", {})
    declared = [option.get("$ref") for option in here.get("oneOf", [])]
    return ", ".join(sorted(mapping, key=lambda kind: declared.index(mapping[kind])))


def _allowed(here: Schema, schema: Schema) -> str:
    here = _resolved(here, schema)
    if {option.get("type") for option in here.get("anyOf", [])} == {"string", "null"} and "description" in here:
        return _described(here)
    if "anyOf" in here:
        return " or ".join(dict.fromkeys(_allowed(option, schema) for option in here["anyOf"]))
    if "enum" in here or "const" in here:
        return ", ".join(str(word) for word in here.get("enum", [here.get("const")]))
    if "discriminator" in here:
        return f"a mapping of one of the kinds {_kinds(here)}"
    if "type" not in here:
        return str(here.get("description", "what the README shows"))
    described = f": {_described(here)}" if here["type"] == "string" and "description" in here else ""
    return _KINDS[here["type"]] + _range(here) + described


def _described(here: Schema) -> str:
    return " ".join(str(here.get("description", "")).split()).rstrip(".")


def _range(here: Schema) -> str:
    words = {
        "minimum": "at least {}",
        "exclusiveMinimum": "above {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "below {}",
        "minLength": "not empty",
        "minItems": "of at least {} items",
        "pattern": "of the form {}",
    }
    told = [words[key].format(here[key]) for key in words if key in here]
    return f" ({', '.join(told)})" if told else ""


def _example(here: Schema, schema: Schema, given: object = None) -> str:
    here = _resolved(here, schema)
    options = [
        str(word) for option in [here, *here.get("anyOf", [])] for word in _resolved(option, schema).get("enum", [])
    ]
    meant = nearest(str(given), options) if options and given is not None else None
    examples = [example for option in [here, *here.get("anyOf", [])] for example in option.get("examples", [])]
    return str(meant or _whole(given, here) or (examples or options or ["<value>"])[0])


def _whole(given: object, here: Schema) -> int | None:
    """Return the whole number that was written as another, such as 1e4, where it is allowed."""
    taken = next((option for option in [here, *here.get("anyOf", [])] if option.get("type") == "integer"), None)
    if taken is None or not isinstance(given, float) or not given.is_integer():
        return None
    number = int(given)
    inside = taken.get("minimum", number) <= number <= taken.get("maximum", number)
    return number if inside and number < taken.get("exclusiveMaximum", number + 1) else None

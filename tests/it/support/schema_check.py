"""Validates TOML texts against a JSON Schema. Reads {"schema": ..., "texts": [...]} and answers, for each text, null
if it is valid, else what is wrong with it; "not TOML" stands before what cannot be read at all."""

import json
import sys
import tomllib

from jsonschema import Draft202012Validator

asked = json.load(sys.stdin)
Draft202012Validator.check_schema(asked["schema"])
validator = Draft202012Validator(asked["schema"])


def verdict(text):
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        return f"not TOML: {e}"
    wrong = [f"{e.json_path}: {e.message}" for e in validator.iter_errors(document)]
    return "; ".join(wrong) or None


json.dump([verdict(text) for text in asked["texts"]], sys.stdout)

#!/usr/bin/env python3
"""Makes the expected outputs of the chat template tests with Jinja2, set up as transformers does.

    compare_with_jinja2.py --write                  cases.json and expressions.json, from the templates here
    compare_with_jinja2.py --write --data FOLDER    also third_party.json, from the templates below FOLDER

Templates by others are not in the repository: of what they render, only hashes are kept. Needs Python >= 3.9
and jinja2 >= 3.1.6; expressions.json was made under Python 3.11.
"""
import argparse
import copy
import datetime
import hashlib
import json
import pathlib
import random

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).resolve().parent
NOW = 1753531200  # 2025-07-26 12:00:00 UTC, the __now of the tests


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def make_environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[Generation, jinja2.ext.loopcontrols],
        optimized=False,  # folding constants turns some errors (5[1:]) into undefined values
    )
    now = datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc)
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = now.strftime
    return environment


ENVIRONMENT = make_environment()


def render(template, values):
    """The text, or None where Jinja2 raises. On a copy: a list given to |indent is changed in place."""
    try:
        return ENVIRONMENT.from_string(template).render(**copy.deepcopy(values))
    except Exception:  # whatever it is, the test expects an Error there
        return None


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def conversations():
    """Every chat with every set of options, with and without a generation prompt; one list per chat."""
    matrix = json.loads(read(HERE / "conversations.json"))
    for chat in matrix["chats"]:
        yield [
            {"messages": chat, "add_generation_prompt": prompt, **options}
            for options in matrix["options"]
            for prompt in (False, True)
        ]


def write_json(name, document):
    text = json.dumps(document, ensure_ascii=False, indent=1)
    (HERE / name).write_text(text + "\n", encoding="utf-8")


def write_cases():
    values = json.loads(read(HERE / "values.json"))
    cases = []
    for path in sorted(HERE.glob("*.jinja")):
        template = read(path)
        sets = [v for group in conversations() for v in group[:4]] if path.stem == "chat" else [values]
        for each in sets:
            cases.append({"template": path.name, "values": each, "expected": render(template, each)})
    write_json("cases.json", cases)
    return len(cases)


def digest(outputs):
    """One hash for a list of outputs: each as T, its length and the text, or as E for an error."""
    sha = hashlib.sha256()
    size = 0
    for text in outputs:
        data = b"" if text is None else text.encode()
        size += len(data)
        sha.update(b"E\n" if text is None else b"T%d\n" % len(data) + data)
    return f"{sha.hexdigest()[:24]}:{size}"


def third_party_templates(folder):
    for path in sorted(folder.rglob("*.jinja")):
        yield str(path.relative_to(folder)), read(path)
    for path in sorted(folder.rglob("tokenizer_config.json")):
        found = json.loads(read(path)).get("chat_template")
        if isinstance(found, str):
            yield str(path.relative_to(folder)), found
    path = folder / "golden-arch/neural-api/chat_template_cases.json"
    for name, entry in json.loads(read(path)).items():
        if "template" in entry:
            yield f"{path.relative_to(folder)}#{name}", entry["template"]


def write_third_party(folder):
    document = {}
    for name, template in third_party_templates(folder):
        document[name] = {
            "sha256": hashlib.sha256(template.encode()).hexdigest(),
            "outputs": [digest(render(template, values) for values in group) for group in conversations()],
        }
    write_json("third_party.json", document)
    return len(document)


ATOMS = json.loads(read(HERE / "expression_parts.json"))


def expression(random_source, depth):
    pick = random_source.choice
    inner = lambda: expression(random_source, depth - 1)
    if depth <= 0:
        return pick(ATOMS["atoms"])
    kind = random_source.random()
    if kind < 0.12:
        return pick(ATOMS["atoms"])
    if kind < 0.34:
        return f"({inner()})|{pick(ATOMS['filters'])}"
    if kind < 0.52:
        return f"({inner()}){pick(ATOMS['methods'])}"
    if kind < 0.64:
        return f"({inner()}) is {pick(['', 'not '])}{pick(ATOMS['tests'])}"
    if kind < 0.82:
        return f"({inner()}) {pick(ATOMS['operators'])} ({inner()})"
    if kind < 0.88:
        return f"({inner()} if {inner()} else {inner()})"
    if kind < 0.92:
        return pick([f"not ({inner()})", f"-({inner()})"])
    if kind < 0.96:
        return pick([f"[{inner()}, {inner()}]", f"{{'p': {inner()}, 1: {inner()}}}"])
    return f"{pick(ATOMS['formats'])} % ({inner()}, {inner()})"


def write_expressions(count, seed):
    source = random.Random(seed)
    values = json.loads(read(HERE / "values.json"))
    rows = []
    while len(rows) < count:
        # Printed directly, a constant expression would be folded all the same.
        text = "{% set r = " + expression(source, source.choice([1, 1, 2, 2, 3])) + " %}{{ r }}"
        outcome = render(text, values)
        if outcome is None and source.random() < 0.7:
            continue  # half of all random expressions raise; keep fewer of those
        if outcome is not None and (" object at" in outcome or " at 0x" in outcome or "<built-in" in outcome):
            continue  # shows an address
        rows.append([text, outcome])
    write_json("expressions.json", rows)
    return len(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", required=True)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=20250726)
    parser.add_argument("--expressions", type=int, default=900)
    options = parser.parse_args()
    print(f"{write_cases()} cases, {write_expressions(options.expressions, options.seed)} expressions")
    if options.data:
        print(f"{write_third_party(options.data)} templates by others")


if __name__ == "__main__":
    main()

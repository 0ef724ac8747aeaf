"""Compares the tables that Portcullis finds in queries with the reading of sqlglot, an independent parser.

    tests/reads/run.sh [DIALECT…]

The queries are those of sqlglot's own tests and fixtures (MIT), which its source distribution contains. The script
runs these tests and records each text that they parse or expect. It prints, by dialect, how many queries Portcullis
cannot read, and which tables it misses. A miss is silent if Portcullis does not report that the query may read more.
Exit code 1 if there is a silent miss.
"""

import collections
import glob
import importlib
import json
import logging
import os
import subprocess
import sys
import unittest

# The dialects of sqlglot whose texts a connection with this dialect may run.
DIALECTS = {
    "": "generic",
    "bigquery": "bigquery",
    "snowflake": "snowflake",
    "oracle": "oracle",
    "postgres": "postgres",
    "redshift": "redshift",
    "databricks": "databricks",
    "spark": "databricks",
}


def record(source):
    """Runs sqlglot's tests and returns each (dialect, text) that they parse or expect, once."""
    sys.path.insert(0, source)
    logging.disable(logging.CRITICAL)
    import sqlglot

    texts = {}

    def add(dialect, text):
        if isinstance(text, str) and text.strip():
            texts.setdefault((dialect if isinstance(dialect, str) else "", text))

    parse = sqlglot.Dialect.parse

    def recorded(self, text, **options):
        name = type(self).__name__.lower()
        add("" if name == "dialect" else name, text)
        return parse(self, text, **options)

    sqlglot.Dialect.parse = recorded
    validator = importlib.import_module("tests.dialects.test_dialect").Validator
    validate = validator.validate_all

    def validated(self, sql, read=None, write=None, **options):
        for dialect, text in (write or {}).items():
            add(dialect, text)
        return validate(self, sql, read=read, write=write, **options)

    validator.validate_all = validated
    suite = unittest.TestSuite()
    for path in sorted(glob.glob(os.path.join(source, "tests/dialects/test_*.py"))):
        module = importlib.import_module("tests.dialects." + os.path.basename(path)[:-3])
        suite.addTests(unittest.defaultTestLoader.loadTestsFromModule(module))
    with open(os.devnull, "w") as nowhere:
        unittest.TextTestRunner(stream=nowhere).run(suite)
    sqlglot.Dialect.parse = parse
    with open(os.path.join(source, "tests/fixtures/identity.sql")) as lines:
        for line in lines:
            add("", line)
    for path in sorted(glob.glob(os.path.join(source, "tests/fixtures/optimizer/**/*.sql"), recursive=True)):
        with open(path) as fixture:
            blocks = fixture.read().split(";\n")
        for block in blocks:
            lines = block.splitlines()
            options = dict(line[2:].split(":", 1) for line in lines if line.startswith("# ") and ":" in line)
            text = "\n".join(line for line in lines if not line.startswith(("#", "--")))
            add(options.get("dialect", "").strip(), text)
    return list(texts)


def visible_with(table):
    """Whether a `WITH` query with the name of `table` is visible where the table is."""
    from sqlglot import exp

    name, child, node = table.name.lower(), table, table.parent
    while node is not None:
        with_ = child if isinstance(child, exp.With) else node.args.get("with_") or node.args.get("with")
        if isinstance(with_, exp.With):
            names = [query.alias.lower() for query in with_.expressions]
            inside = next((at for at, query in enumerate(with_.expressions) if contains(query, table)), None)
            recursive = with_.args.get("recursive") or isinstance(with_.expressions[inside or 0].this, exp.SetOperation)
            seen = names if inside is None or with_.args.get("recursive") else names[: inside + bool(recursive)]
            if name in seen:
                return True
        child, node = node, node.parent
    return False


def contains(node, descendant):
    while descendant is not None:
        if descendant is node:
            return True
        descendant = descendant.parent
    return False


def is_path(table, dialect):
    """Whether the first part of `table` is an alias of the same query, so that the table is an array of a row."""
    from sqlglot import exp

    if dialect not in ("bigquery", "redshift") or len(table.parts) < 2:
        return False
    first, node = table.parts[0].name.lower(), table.parent
    while node is not None:
        if isinstance(node, exp.Select):
            aliases = {
                source.alias.lower() if dialect == "redshift" else source.alias_or_name.lower()
                for source in node.find_all(exp.Table, exp.Subquery, exp.Unnest)
                if source is not table
            }
            if first in aliases:
                return True
        node = node.parent
    return False


def tables(text, dialect):
    """The tables of `text` as sqlglot reads it, in lower case; `None` if it does not read it as SQL."""
    import sqlglot
    from sqlglot import exp

    other_names = (exp.Drop, exp.FileFormatProperty, exp.ModelAttribute, exp.Use, exp.UserDefinedFunction)
    statements = (exp.Query, exp.DDL, exp.DML, exp.Merge, exp.Copy, exp.Describe, exp.Drop)
    found = set()
    try:
        trees = [tree for tree in sqlglot.parse(text, dialect=dialect) if tree is not None]
    except Exception:
        return None
    if not trees or any(isinstance(node, exp.Command) for tree in trees for node in tree.walk()):
        return None
    if not any(isinstance(tree, statements) for tree in trees):
        return None  # An expression, or a command that names no table.
    for tree in trees:
        for table in tree.find_all(exp.Table):
            if not all(isinstance(part, exp.Identifier) for part in table.parts) or not table.name:
                continue  # A table function, or a name from a variable.
            parent = table.parent
            if isinstance(parent, other_names) or table.find_ancestor(exp.Hint, exp.Lock):
                continue
            if isinstance(parent, exp.Create) and parent.args["kind"] not in ("TABLE", "VIEW"):
                continue  # A sequence, a stage, a type.
            if isinstance(parent, exp.Func) and table.arg_key == "this":
                continue  # A model.
            if len(table.parts) == 1 and visible_with(table):
                continue
            if is_path(table, dialect):
                continue
            if dialect in ("oracle", "snowflake") and [part.name.lower() for part in table.parts] == ["dual"]:
                continue
            found.add(".".join(part.name for part in table.parts).lower())
    return found


def main():
    source, program, *only = sys.argv[1:]
    queries = []
    for dialect, text in record(source):
        if dialect in DIALECTS and (not only or DIALECTS[dialect] in only):
            expected = tables(text, dialect)
            if expected is not None:
                queries.append((DIALECTS[dialect], text, expected))
    lines = "".join(json.dumps({"dialect": dialect, "sql": text}) + "\n" for dialect, text, _ in queries)
    output = subprocess.run([program], input=lines, capture_output=True, text=True, check=True).stdout
    counts = collections.defaultdict(collections.Counter)
    silent = 0
    for (dialect, text, expected), line in zip(queries, output.splitlines(), strict=True):
        found, count = json.loads(line), counts[dialect]
        count["queries"] += 1
        if "error" in found:
            count["unread"] += 1
            print(f"UNREAD {dialect}: {text!r}\n    {found['error']}")
            continue
        names = {name.replace('"', "").replace("`", "").lower() for name in found["tables"]}
        missed, extra = expected - names, names - expected
        if any(what.startswith("unknown syntax") for what in found["beyond"]):
            count["scanned"] += 1
        if missed:
            kind = "missed" if found["beyond"] else "silent"
            count[kind] += 1
            silent += kind == "silent"
            print(f"{kind.upper()} {dialect}: {text!r}\n    {sorted(missed)}; found {found['tables']}, {found['beyond']}")
        if extra:
            count["extra"] += 1
            print(f"EXTRA {dialect}: {text!r}\n    {sorted(extra)}; {found['beyond']}")
    print(f"{'dialect':12} {'queries':>8} {'unread':>8} {'scanned':>8} {'silent':>8} {'missed':>8} {'extra':>8}")
    for dialect, count in sorted(counts.items()):
        share = 100 * count["unread"] / count["queries"]
        row = " ".join(f"{count[key]:>8}" for key in ("queries", "unread", "scanned", "silent", "missed", "extra"))
        print(f"{dialect:12} {row}   {share:.1f} % unread")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())

"""The OpenAPI document as one self-contained HTML page: no script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { font-size: 1.05rem; margin: 0; }
code, pre { font: 13px/1.5 ui-monospace, monospace; }
pre { background: var(--soft); padding: .75rem; overflow-x: auto; }
section { border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; margin: 1rem 0; }
.method { display: inline-block; min-width: 3.5rem; font-weight: 700; }
.key { float: right; font-size: .8rem; opacity: .75; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td { border-top: 1px solid var(--line); padding: .25rem .5rem .25rem 0; vertical-align: top; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'self'; style-src 'sha256-{_STYLE_HASH}'; script-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def render(document: dict[str, Any]) -> str:
    """The page; every text of the document is escaped."""
    info = document["info"]
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(info['title'])}</h1>",
            f"<p>{escape(info['description'])} Version {escape(info['version'])}. ",
            'As a document: <a href="/v1/openapi.json">/v1/openapi.json</a>.</p>',
            "<p>Send <code>Authorization: Bearer KEY</code> where a key is asked for.</p>",
            *_operations(document),
            "<h1>Shapes</h1>",
            *_schemas(document),
            "</body></html>",
        )
    )


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            key = "API key" if operation["security"] else "public"
            yield (
                f'<section><span class="key">{key}</span><h2><span class="method">'
                f"{escape(method.upper())}</span><code>{escape(path)}</code></h2>"
                f"<p>{escape(operation['summary'])}</p>"
            )
            if "description" in operation:
                yield f"<p>{escape(operation['description'])}</p>"
            if "requestBody" in operation:
                body = next(iter(operation["requestBody"]["content"].values()))
                yield f"<p>Body: {_shape(body['schema'])}</p>"
            yield "<table>"
            for status, answer in operation["responses"].items():
                content = next(iter(answer.get("content", {}).values()), None)
                shape = _shape(content["schema"]) if content else ""
                yield (
                    f"<tr><td>{escape(status)}</td><td>{escape(answer['description'])}</td>"
                    f"<td>{shape}</td></tr>"
                )
            yield "</table></section>"


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    for name, schema in sorted(document["components"]["schemas"].items()):
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        yield (
            f'<section id="{escape(name)}"><h2><code>{escape(name)}</code></h2>'
            f"<details><summary>{escape(schema.get('description', ''))}</summary>"
            f"<pre>{escape(text)}</pre></details></section>"
        )


def _shape(schema: dict[str, Any]) -> str:
    """A link to a named shape, else its JSON type."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        return f'<a href="#{escape(name)}"><code>{escape(name)}</code></a>'
    return f"<code>{escape(str(schema.get('type', 'any')))}</code>"

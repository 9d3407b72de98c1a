"""The API reference in HTML, from OpenAPI: for `/docs` and a page of the manual."""

from typing import Any

import jinja2

_TEMPLATE = jinja2.Template(
    """{%- macro kinds(content) %}
{%- for kind, about in content.items() %}
{%- set name = (about.schema["$ref"] or "").split("/")[-1] %}
{%- if not loop.first %}<br>{% endif %}<code>{{ kind }}</code>
{%- if name %} <a href="#{{ name }}">{{ name }}</a>{% endif %}
{%- endfor %}
{%- endmacro %}
{%- macro type(about) %}
{%- if about["$ref"] %}<a href="#{{ about["$ref"].split("/")[-1] }}">
{{- about["$ref"].split("/")[-1] }}</a>
{%- elif about.type == "array" %}list of {{ type(about["items"]) }}
{%- elif about.enum %}{{ about.enum | map("tojson") | join(", ") }}
{%- elif about.const is defined %}{{ about.const | tojson }}
{%- elif about.anyOf or about.oneOf %}
{%- for each in about.anyOf or about.oneOf %}
{%- if not loop.first %} or {% endif %}{{ type(each) }}{% endfor %}
{%- else %}{{ about.type or "any" }}{% endif %}
{%- if about.minimum is defined %}, {{ about.minimum | int }}
{%- if about.maximum is defined %} to {{ about.maximum | int }}{% else %} or more
{%- endif %}{% endif %}
{%- endmacro %}
<p>For programs: <a href="openapi.json">openapi.json</a>.</p>
<table><thead><tr><th>address</th><th>body</th><th>answer</th></tr></thead><tbody>
{%- for path, methods in paths.items() %}{% for method, about in methods.items() %}
<tr><td><a href="#{{ about.operationId }}">
{#- #}<code>{{ method | upper }} {{ path }}</code></a><br>{{ about.summary }}</td>
<td>{{ kinds(about.requestBody.content or {}) }}</td>
<td>{{ kinds(about.responses["200"].content or {}) }}</td></tr>
{%- endfor %}{% endfor %}
</tbody></table>
<p>Errors have status {% for code, about in refusals.items() %}
{%- if not loop.first %}, or {% endif %}{{ code }}: {{ about.description }}
{{ kinds(about.content) }}{% endfor %}</p>
{%- for path, methods in paths.items() %}{% for method, about in methods.items() %}
<h2 id="{{ about.operationId }}"><code>{{ method | upper }} {{ path }}</code></h2>
<p>{{ (about.description or about.summary).rstrip(".") }}. Answers:
{{ about.responses["200"].description | replace("`", "") }}</p>
{%- set content = about.requestBody.content["application/json"] %}
{%- for example in (content.examples or {}).values() %}
<p>Example:</p>
<pre><code>{{ example.value | tojson }}</code></pre>
{%- endfor %}
{%- endfor %}{% endfor %}
{%- for name, schema in components.schemas.items() %}
<h2 id="{{ name }}"><code>{{ name }}</code></h2>
<p>{{ schema.description }}</p>
<table><thead><tr><th>field</th><th>type</th><th>default</th><th>meaning</th></tr></thead>
<tbody>{% for field, about in schema.properties.items() %}
<tr><td><code>{{ field }}</code></td><td>{{ type(about) }}</td>
<td>{% if about.default is defined %}<code>{{ about.default | tojson }}</code>
{%- elif field in schema.required %}required{% endif %}</td>
<td>{{ about.description }}</td></tr>{% endfor %}
</tbody></table>
{%- endfor %}
""",
    autoescape=True,
    undefined=jinja2.ChainableUndefined,
)
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>poph_tf: the API</title>
<h1>poph_tf: the API</h1>
"""


def page(schema: dict[str, Any]) -> str:
    """A complete HTML page."""
    return f"{_PAGE}{fragment(schema)}</html>"


def fragment(schema: dict[str, Any]) -> str:
    """The content below the heading of a page.

    Args:
        schema: the OpenAPI schema of the application.
    """
    answers = schema["paths"]["/v1/compose"]["post"]["responses"]
    refusals = {code: about for code, about in answers.items() if code[0] in "45"}
    return _TEMPLATE.render(schema, refusals=refusals)

"""One HTML document that needs nothing but itself: styles, scripts and data inside, and a policy that lets it fetch
nothing.

The linked panels are drawn on canvases by some 800 lines of our own (assets/*.js), 30 kB, rather than by a charting
library: brushing must repaint several panels of thousands of points at once and open a drawing of a cell, which takes a
script beside any library; Vega's bundle, the closest candidate, adds 0.9 MB to each report and compiles expressions at
run time, which the policy below forbids (`script-src` names this one script by its hash).
"""

import base64
import hashlib
import html
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from analysis.drawing import palette
from analysis.page import data as page_data

_SCRIPTS = ("numbers.js", "axis.js", "cells.js", "panel.js", "space.js", "curves.js", "page.js")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header><div><h1>{title}</h1>
<p class="lead">{lead}</p></div>
<button id="theme" type="button" title="light or dark" hidden>Light / dark</button></header>
{partial}
<nav aria-label="Sections">{links}</nav>
<main>
{body}
</main>
<svg id="icon" aria-hidden="true"></svg>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def document(title: str, lead: str, partial: str, parts: Mapping[str, str], data: Any) -> str:
    """The page: `parts` are HTML by heading, those without content left out; `title` and `lead` are plain text."""
    shown = {name: content for name, content in parts.items() if content}
    ids = {name: name.lower().replace(" ", "-") for name in shown}
    script = f'"use strict";\n(() => {{\n{"".join(map(_asset, _SCRIPTS))}}})();\n'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _PAGE.format(
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        title=html.escape(title),
        lead=html.escape(lead),
        partial=partial,
        style=_asset("report.css") + ":root {\n" + palette.variables() + "}\n",
        links="".join(f'<a href="#{ids[name]}">{html.escape(name)}</a>' for name in shown),
        body="\n".join(f'<h2 id="{ids[name]}">{html.escape(name)}</h2>\n{part}' for name, part in shown.items()),
        data=page_data.text(data),
        script=script,
    )


def _asset(name: str) -> str:
    return (files("analysis.page") / "assets" / name).read_text("utf-8")

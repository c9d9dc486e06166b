"""HTML and style of the pages of benchmarks: light and dark, with nothing loaded from elsewhere."""

import html
from collections.abc import Sequence
from string import Template

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title – dextr-vos</title>
<style>
:root { color-scheme: light dark; --ink: #1d2126; --soft: #667079; --paper: #f6f5f2; --card: #fff;
  --line: #e2ded6; --zero: #8d959d; --gt: #2463ad; --dextr: #cf5410; --clicks: #23824d; --grabcut:
  #8559a5; --on: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --soft: #9aa2ab; --paper: #15171a; --card:
  #1e2125; --line: #343940; --zero: #79818a; --gt: #74b0f4; --dextr: #ff9a55; --clicks: #5fd093;
  --grabcut: #c6a3e6; --on: #15171a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 74rem; padding: 2.6rem 1.5rem 4rem; background: var(--paper); color:
  var(--ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.85rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 3rem 0 .4rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
p { margin: .3rem 0 .8rem; max-width: 52rem; }
.soft, figcaption, small { color: var(--soft); }
p.error { font-weight: 500; }
.below { margin-top: .8rem; }
.lead { color: var(--soft); margin-bottom: 1.4rem; }
.answer { background: var(--card); border: 1px solid var(--line); border-left: .3rem solid var(--dextr);
  border-radius: .5rem; padding: .9rem 1.2rem; margin: .6rem 0; max-width: none; font-size: 1.05rem; }
.answer.grabcut { border-left-color: var(--grabcut); }
.answer.clicks { border-left-color: var(--clicks); }
ul.sentences { padding-left: 1.2rem; margin: .5rem 0; }
ul.sentences li { margin: .35rem 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1rem; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: 1rem 1rem .7rem; }
figcaption { font-size: .85rem; margin-top: .4rem; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); }
svg .tick, svg .axis { fill: var(--soft); }
svg .title { font-size: 14px; font-weight: 600; }
svg .value { font-weight: 600; }
svg .grid { stroke: var(--line); }
svg .zero { stroke: var(--zero); stroke-width: 1.5; }
svg .curve { fill: none; stroke-width: 2.2; }
svg .dotted { fill: none; stroke-width: 1.6; stroke-dasharray: 1 5; stroke-linecap: round; }
svg .whisker { stroke-width: 1.2; opacity: .45; }
svg .bar { stroke-width: 3; opacity: .45; stroke-linecap: round; }
svg .span { stroke: var(--line); stroke-width: 3; }
svg .mark { stroke: var(--card); stroke-width: 1.5; }
svg .count { fill: var(--on); font-size: 10px; font-weight: 700; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.3rem; margin: .4rem 0 .8rem; font-size: .9rem; }
.legend span::before { content: ""; display: inline-block; width: .75rem; height: .75rem; border-radius:
  50%; margin-right: .45rem; vertical-align: -.06rem; background: var(--c); }
.legend .dots::before { width: 1.5rem; height: 0; border-radius: 0; background: none; border-top: .16rem
  dotted var(--c); vertical-align: .22rem; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; background: var(--card);
  }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .93rem; }
th, td { padding: .42rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space:
  nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 500; vertical-align: bottom; }
tbody tr:last-child td { border-bottom: 0; }
tr.mean td { font-weight: 600; border-top: 2px solid var(--line); }
tr.first td { border-top: 2px solid var(--line); }
.tag { display: inline-block; width: .65rem; height: .65rem; border-radius: 50%; margin-right: .5rem;
  background: var(--c); }
.clips { display: grid; grid-template-columns: repeat(auto-fit, minmax(34rem, 1fr)); gap: 1rem; }
.clip { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem;
  min-width: 0; }
.clip .wide { margin-bottom: .8rem; }
.shots { display: grid; grid-template-columns: 6.5rem 1fr 1fr; gap: .5rem; align-items: center;
  font-size: .85rem; }
.shots img { display: block; width: 100%; border-radius: .3rem; }
.shots figure { border: 0; padding: 0; }
.shots figcaption { margin-top: .15rem; font-size: .8rem; }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--soft); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem;
  overflow-x: auto; font-size: .85rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; }
dt { color: var(--soft); }
dd { margin: 0; }
.error { color: #b3261e; }
@media (prefers-color-scheme: dark) { .error { color: #ff8a80; } }
@media (max-width: 40rem) { .clips, .pair { grid-template-columns: 1fr; } dl { grid-template-columns:
  1fr; } }
@media print { body { max-width: none; } details { display: none; } }
</style>
</head>
<body>
$body
</body>
</html>
""")


def page(title: str, body: Sequence[str]) -> str:
    """A whole page.

    Args:
        title: as text.
        body: pieces of HTML, one below the other.
    """
    return _PAGE.substitute(title=html.escape(title), body="\n".join(piece for piece in body if piece))


def alone(svg: str) -> str:
    """A chart as a file of its own, on white."""
    style = (
        "<style>svg { background: #fff; font: 12px system-ui, sans-serif; } .title { font-size: 14px; "
        "font-weight: 600; } .tick, .axis { fill: #667079; } .grid { stroke: #e2ded6; } "
        ".curve { fill: none; stroke-width: 2.2; }</style>"
    )
    opening = svg.index(">") + 1
    return (
        svg[:opening].replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"')
        + style
        + svg[opening:]
        + "\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], classes: Sequence[str] = ()) -> str:
    """A table.

    Args:
        head: titles of the columns, as HTML.
        rows: cells, as HTML.
        classes: of the rows; none where there are fewer.
    """
    titles = "".join(f"<th>{title}</th>" for title in head)
    lines = []
    for place, row in enumerate(rows):
        kind = classes[place] if place < len(classes) else ""
        lines.append(f'<tr class="{kind}">' + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>")
    body = f"<thead><tr>{titles}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f'<div class="wide"><table>{body}</table></div>'


def tagged(colour: str, text: str) -> str:
    """Text after a dot of a colour."""
    return f'<i class="tag" style="--c: var(--{colour})"></i>{html.escape(text)}'


def definitions(pairs: Sequence[tuple[str, str]]) -> str:
    """A list of terms with their values, as text."""
    return (
        "<dl>"
        + "".join(f"<dt>{html.escape(term)}</dt><dd>{html.escape(what)}</dd>" for term, what in pairs)
        + "</dl>"
    )

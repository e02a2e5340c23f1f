"""How the pages look, light, dark and printed, and the one script that any of them runs: sorting a table."""

# What people sort by stands in data-key; without JavaScript the table is as readable.
SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    const key = row => row.cells[column].dataset.key ?? row.cells[column].textContent;
    const order = head.classList.contains("number")
      ? (a, b) => (key(a) === "" ? -Infinity : +key(a)) - (key(b) === "" ? -Infinity : +key(b)) || 0
      : (a, b) => key(a).localeCompare(key(b), undefined, {numeric: true});
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...[...body.rows].sort((a, b) => (up ? 1 : -1) * order(a, b)));
    });
  });
}
"""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2125; --paper: #fff; --soft: #56616b; --line: #d5dbe0; --wash: #f3f5f7;
  --first: #1a66c2; --second: #b04a00; --good: #1d7a3e; --bad: #b3261e; --heat: 26 102 194 }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e8eb; --paper: #14171a; --soft: #a4aeb8; --line: #363d44;
  --wash: #1d2226; --first: #74b1f7; --second: #f2a15c; --good: #6fcf8f; --bad: #ff8a80; --heat: 116 177 247 } }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --soft: #444; --line: #bbb; --wash: #f3f3f3;
  --first: #1a66c2; --second: #b04a00; --good: #1d7a3e; --bad: #b3261e; --heat: 26 102 194 }
  body { max-width: none; margin: 0 } section, figure, tr { break-inside: avoid } section.long { break-inside: auto }
  .scroll { overflow: visible; max-height: none } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem;
  color: var(--ink); background: var(--paper) }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .5rem; overflow-wrap: anywhere } p { margin: .5rem 0; max-width: 46rem }
.soft, figcaption, caption, .axis { color: var(--soft) } .bad { color: var(--bad) } .good { color: var(--good) }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0; padding: 0 }
.tiles div { background: var(--wash); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem 1rem;
  flex: 1 1 9rem }
.tiles dt { color: var(--soft); font-size: .85rem } .tiles dd { margin: 0; font-size: 1.45rem; font-weight: 600;
  overflow-wrap: anywhere } .tiles small { display: block; color: var(--soft); font-size: .8rem; font-weight: 400 }
.scroll { overflow: auto; max-height: 36rem; margin: .75rem 0 }
.scroll:focus-visible { outline: 2px solid var(--first) }
table { border-collapse: collapse; font-size: .92rem } caption { text-align: left; padding: .25rem 0 }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: break-word; max-width: 20rem }
thead th { background: var(--paper); position: sticky; top: 0; vertical-align: bottom } th { font-weight: 600 }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
th button { all: unset; cursor: pointer } th button:focus-visible { outline: 2px solid var(--first) }
th button:hover { text-decoration: underline } [aria-sort=ascending] button::after { content: " \\2191" }
[aria-sort=descending] button::after { content: " \\2193" }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem }
figure { margin: 0 } svg, img { max-width: 100%; height: auto } svg { display: block; width: 100%; max-width: 38rem }
svg text { font: 13px system-ui, sans-serif; fill: var(--ink); stroke: var(--paper); stroke-width: 3px;
  paint-order: stroke } svg .axis { fill: var(--soft) }
svg .grid { stroke: var(--line) } svg .mark { stroke: var(--soft); stroke-dasharray: 2 4 }
svg .first { stroke: var(--first) } svg .second { stroke: var(--second) } svg .line { fill: none; stroke-width: 2 }
svg .second.line { stroke-dasharray: 6 3 } svg circle.first, svg .bar { fill: var(--first) }
svg circle.second { fill: var(--second) } svg .ring { fill: none; stroke: var(--ink); stroke-width: 1.5 }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: 1rem .75rem; padding: 0;
  list-style: none } .pictures figcaption { font-size: .82rem; line-height: 1.35; overflow-wrap: anywhere;
  color: var(--ink) } .pictures img, .pictures .none { height: 8rem; width: 100%; object-fit: contain;
  background: var(--wash); border-radius: .35rem } .pictures .none { display: grid; place-items: center }
.groups { display: flex; flex-wrap: wrap; gap: 1rem 1.5rem } .groups figure { max-width: 22rem }
.groups figcaption { font-size: .82rem; overflow-wrap: anywhere } h3 { font-size: 1rem; margin: .9rem 0 .3rem;
  overflow-wrap: anywhere }
.strip { display: flex; flex-wrap: wrap; gap: .35rem } .strip img { height: 4.5rem; width: auto; border-radius: .25rem }
.cells td, .cells th { padding: .2rem .45rem; min-width: 2.2rem; border: 1px solid var(--line) }
.cells .hot { background: rgb(var(--heat) / var(--share)) } .cells .right { outline: 2px solid var(--good);
  outline-offset: -2px } .cells thead th { max-width: 7rem } .cells thead span { display: -webkit-box;
  -webkit-box-orient: vertical; -webkit-line-clamp: 4; overflow: hidden }
.pixels { image-rendering: pixelated; width: 28rem;
  border: 1px solid var(--line) } .bar-cell { min-width: 8rem } .bar-cell span { display: block; height: .8rem;
  margin-top: .3rem; border-radius: .2rem; background: var(--first) } meter { width: 6rem }
li { overflow-wrap: anywhere } details { margin: .75rem 0 } summary { cursor: pointer; color: var(--soft) }
"""

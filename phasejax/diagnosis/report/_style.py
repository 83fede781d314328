"""How a report looks: its style sheet, and how it writes numbers and names."""

import math
import re

NAMES = {
    "CA": "align (CA)", "CP x->y": "predict y from x (CP)", "CP y->x": "predict x from y (CP)", "x": "x alone",
    "y": "y alone", "x and y": "x and y, all columns"}
# Written out, since each looks like another letter.
NU, GAMMA, TIMES, MINUS = "\u03bd", "\u03b3", "\u00d7", "\u2212"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# Of every figure.
FIGURE_STYLE = {"svg.fonttype": "path", "font.size": 9, "axes.edgecolor": "0.4", "axes.linewidth": 0.7}
CSS = """
:root{color-scheme:light dark;--ink:#1b1b1b;--faint:#5c5c5c;--line:#d5d2cb;--paper:#fff;--card:#f7f5f1;
--warn:#fff4d6;--edge:#b87700}
@media (prefers-color-scheme:dark){:root{--ink:#ebe9e4;--faint:#aaa69d;--line:#45433f;--paper:#191919;
--card:#242322;--warn:#3a2f12;--edge:#e0a030}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,"Segoe UI",Roboto,sans-serif}
main,footer{max-width:1080px;margin:0 auto;padding:0 20px}
header{background:var(--card);border-bottom:1px solid var(--line);padding:26px 0 20px}
header>div{max-width:1080px;margin:0 auto;padding:0 20px}
h1{font-size:2rem;line-height:1.2;margin:.1em 0 .3em}h2{font-size:1.25rem;margin:2.2em 0 .5em}
p{margin:.4em 0;max-width:76ch}.kind{color:var(--faint);font-size:.9rem;margin:0}
p,li,dt,dd,h1{overflow-wrap:anywhere}
.verdict{font-size:1.15rem}
.chip{display:inline-block;width:.85em;height:.85em;margin-right:.4em;border:1px solid #777;border-radius:2px;
vertical-align:-.08em}
.warnings{background:var(--warn);border-left:5px solid var(--edge);padding:8px 16px;margin:18px 0 0;max-width:82ch}
.warnings h2{font-size:1rem;margin:0}.warnings ul{margin:.2em 0;padding-left:1.2em}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:22px}
.figures.three{grid-template-columns:repeat(auto-fit,minmax(min(100%,310px),1fr))}
.beside{display:grid;grid-template-columns:minmax(0,7fr) minmax(0,5fr);gap:10px 32px;align-items:start}
figure{margin:0;min-width:0}
.plot{background:#fff;border:1px solid var(--line);border-radius:4px;padding:8px}
svg{display:block;width:100%;height:auto}svg *{stroke-linejoin:round;stroke-linecap:butt}
figcaption{font-size:.9rem;color:var(--faint);margin-top:6px}
.regimes{list-style:none;padding:0;margin:0}.regimes li{margin:0 0 8px}
.key{list-style:none;display:flex;flex-wrap:wrap;gap:2px 18px;padding:0;margin:0 0 10px;font-size:.92rem}
table{border-collapse:collapse;font-size:.95rem;width:100%;max-width:860px}
th,td{text-align:left;padding:4px 14px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600}thead th{color:var(--faint);font-weight:500}
td{font-variant-numeric:tabular-nums;white-space:nowrap}td,thead th:not(:first-child){text-align:right}
thead th:nth-child(4),td:nth-child(4){text-align:left}
sub{line-height:0}
small{display:block;color:var(--faint);font-weight:400;font-size:.88rem}code{font-size:.95em}
dl{display:grid;grid-template-columns:minmax(7em,max-content) 1fr;gap:3px 20px;margin:0;font-size:.95rem}
dt{color:var(--faint)}dd{margin:0;min-width:0}
footer{color:var(--faint);font-size:.85rem;margin-top:36px;padding-bottom:30px}
@media (max-width:760px){.beside{grid-template-columns:minmax(0,1fr)}}
@media (max-width:560px){.wide{display:none}th,td{padding-right:9px}th:last-child,td:last-child{padding-right:0}
h1{font-size:1.6rem}dl{display:block}dt{margin-top:8px}}
@media print{:root{color-scheme:light;--ink:#000;--faint:#444;--line:#bbb;--paper:#fff;--card:#fff;--warn:#fff;
--edge:#000}@page{margin:14mm}html{font-size:9.5pt}main,footer,header>div{max-width:none;padding:0}
header{padding:0 0 8px}h2{margin:1.3em 0 .4em;break-after:avoid}h1{font-size:18pt}.verdict{font-size:11pt}
figure,table,.warnings,dl,.regimes li{break-inside:avoid}p{max-width:none}.plot{border:0;padding:0}
.figures{grid-template-columns:repeat(2,minmax(0,1fr))}.figures.three{grid-template-columns:repeat(3,minmax(0,1fr))}
.beside{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}th,td{padding:2px 10px 2px 0}
.chip{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""


def readable(sentence):
    """A sentence with a proper minus and square."""
    return re.sub(r"(?<=[ \[])-(?=\d)", MINUS, sentence.replace("R2", "R²"))


def metric(scores):
    """The name of the predicted scores' metric."""
    return readable(scores.metric)


def percent(share):
    """A probability in whole percent."""
    if not math.isfinite(share):
        return "unknown"
    return "< 1%" if 0 < share < 0.005 else "> 99%" if 0.995 < share < 1 else f"{share:.0%}"


def number(value):
    """Three significant digits; powers of ten beyond a million and below a thousandth."""
    value = float(value)
    if not math.isfinite(value):
        return "unknown" if math.isnan(value) else "∞" if value > 0 else f"{MINUS}∞"
    if value == 0:
        return "0"
    mantissa, _, power = f"{value:.2e}".partition("e")
    digits = 2 - int(power)
    if -3 <= int(power) < 6:
        return f"{round(value, digits):,.{max(digits, 0)}f}".replace("-", MINUS)
    return f"{mantissa} {TIMES} 10{str(int(power)).translate(_SUPERSCRIPTS)}"


def fixed(value):
    """Two decimals."""
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", MINUS) if math.isfinite(value) else number(value)


def signed(value):
    """Two decimals with their sign."""
    shown = fixed(value)
    return f"+{shown}" if value > 0 and shown != "0.00" else shown


def interval(e, number=number):
    """A median, or a score, with its interval."""
    return f"{number(e.value)} [{number(e.low)}, {number(e.high)}]"

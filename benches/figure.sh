#!/usr/bin/env bash
# Draws the rows of `cargo bench -p portcullis-benches --bench rows` as an SVG: `benches/figure.sh OUTPUT [TOKENS] >
# FIGURE`. OUTPUT has what the benchmark printed; TOKENS (100000) chooses the table. Each bar is a whole decision, as a multiple of the hashed floor.
set -euo pipefail
awk -F ' *[|] *' -v wanted="${2:-100000}" '
    /^[0-9]+ tokens/ { current = $1 + 0 }
    current == wanted && $2 ~ /^(allow|deny|[0-9]+ referers)/ && $5 + 0 > 0 { name[++count] = $2; ratio[count] = $5 + 0 }
    function x(value) { return left + value * scale }
    END {
        if (count == 0) { print "no rows of " wanted " tokens" > "/dev/stderr"; exit 1 }
        left = 250; top = 44; step = 18; scale = 150
        for (at = 1; at <= count; at++) if (ratio[at] > most) most = ratio[at]
        width = x(most) + 60; bottom = top + count * step
        printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Whole decisions, as multiples of the hashed floor\">\n", width, bottom + 30
        print "<style>"
        print "  text { font: 12px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600 } .scale, .value { fill: #57606a }"
        print "  .grid { stroke: #d0d7de } .floor { stroke: #57606a }"
        print "  .allow { fill: #2f7d4f } .deny { fill: #a4463f } .referer { fill: #3b6ea5 }"
        print "  @media (prefers-color-scheme: dark) {"
        print "    text { fill: #f0f6fc } .scale, .value { fill: #9198a1 } .grid { stroke: #3d444d } .floor { stroke: #9198a1 }"
        print "    .allow { fill: #3fb068 } .deny { fill: #e5746c } .referer { fill: #5a9be0 }"
        print "  }"
        print "</style>"
        printf "<text class=\"title\" x=\"10\" y=\"18\">A whole decision among %d tokens, ÷ hashed floor</text>\n", wanted
        for (value = 0; value <= most; value++) {
            printf "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", value == 1 ? "floor" : "grid", x(value), x(value), top - 6, bottom
            printf "<text class=\"scale\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%d</text>\n", x(value), bottom + 16, value
        }
        for (at = 1; at <= count; at++) {
            y = top + (at - 1) * step
            kind = name[at] ~ /^allow/ ? "allow" : name[at] ~ /^deny/ ? "deny" : "referer"
            printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", left - 8, y + 11, name[at]
            printf "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"12\"/>", kind, left, y, ratio[at] * scale
            printf "<text class=\"value\" x=\"%.1f\" y=\"%d\">%.1f</text>\n", x(ratio[at]) + 6, y + 11, ratio[at]
        }
        print "</svg>"
    }' "$1"

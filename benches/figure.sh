#!/usr/bin/env bash
# Draws the rows of `cargo bench --bench rows` as an SVG: `benches/figure.sh OUTPUT [TOKENS] > FIGURE`. OUTPUT has what the
# benchmark printed; TOKENS (100000) chooses the table. Each bar is a whole decision, as a multiple of the hashed floor.
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
        printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"system-ui, sans-serif\" font-size=\"12\">\n", width, bottom + 30
        printf "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<text x=\"10\" y=\"18\" font-weight=\"bold\">A whole decision among %d tokens, ÷ hashed floor</text>\n", wanted
        for (value = 0; value <= most; value++) {
            printf "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"%s\"/>", x(value), x(value), top - 6, bottom, value == 1 ? "#555" : "#ddd"
            printf "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"#555\">%d</text>\n", x(value), bottom + 16, value
        }
        for (at = 1; at <= count; at++) {
            y = top + (at - 1) * step
            color = name[at] ~ /^allow/ ? "#2f7d4f" : name[at] ~ /^deny/ ? "#a4463f" : "#3b6ea5"
            printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", left - 8, y + 11, name[at]
            printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"12\" fill=\"%s\"/>", left, y, ratio[at] * scale, color
            printf "<text x=\"%.1f\" y=\"%d\" fill=\"#333\">%.1f</text>\n", x(ratio[at]) + 6, y + 11, ratio[at]
        }
        print "</svg>"
    }' "$1"

#!/usr/bin/env bash
# What the feature `tracing` costs a node where nobody subscribes: the relay bench with it and without, in turns.
#
#     benches/tracing.sh [ROUNDS]      5 by default; a round takes about a minute and a half
#
# Told are medians over the rounds of what the node with the feature costs, of what it costs without.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}

# Builds the bench with these options, and says where it is.
built() {
  cargo bench --bench relay --no-run --message-format json "$@" 2>/dev/null |
    sed -n 's/.*"name":"relay".*"executable":"\([^"]*\)".*/\1/p'
}

with=$(built)
without=$(built --no-default-features --features node --target-dir target/plain)
for _ in $(seq "$rounds"); do
  echo "round" && "$with" hubs && echo "without" && "$without" hubs
done | awk -F'|' '
  /^round/ { side = "with" }
  /^without/ { side = "without" }
  /^## / { size = substr($0, 4) }
  $2 ~ /^ node (that only relays|with its inbox) $/ {
    cost[side] = $3 + 0
    if (side == "with") { seen[size $2] = cost["with"] }
    else {
      row = size ":" $2
      if (!(row in count)) order[++rows] = row
      ratio[row, ++count[row]] = seen[size $2] / cost["without"]
    }
  }
  END {
    for (i = 1; i <= rows; i++) {
      row = order[i]; n = count[row]
      for (a = 1; a <= n; a++) for (b = a + 1; b <= n; b++) if (ratio[row, b] < ratio[row, a]) {
        t = ratio[row, a]; ratio[row, a] = ratio[row, b]; ratio[row, b] = t
      }
      printf "%-45s %.3f (%.3f to %.3f)\n", row, ratio[row, int((n + 1) / 2)], ratio[row, 1], ratio[row, n]
    }
  }'

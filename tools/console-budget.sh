#!/usr/bin/env bash
# Says how much JavaScript the console's first load takes, compressed, and fails when that is too much.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../console/dist"
limit=122880
# What the page names itself, and what that imports before anything is shown.
mapfile -t files < <(node -e '
  const { readFileSync } = require("node:fs");
  const html = readFileSync("index.html", "utf8");
  const found = new Set([...html.matchAll(/(?:src|href)="\/([^"]+\.js)"/g)].map((match) => match[1]));
  for (const file of found)
    for (const match of readFileSync(file, "utf8").matchAll(/(?:^|[;}\n])\s*(?:import|export)[^"(]*"\.\/([^"]+\.js)"/g)) found.add("assets/" + match[1]);
  console.log([...found].join("\n"));')
size=0
for file in "${files[@]}"; do size=$((size + $(gzip -9 -c "$file" | wc -c))); done
echo "first load: $size bytes of JavaScript, gzip (at most $limit)"
[ "$size" -le "$limit" ]

#!/usr/bin/env bash
# Says of each case of tests/cases.tsv (an input that once went wrong) whether its tests passed: a line per case.
# `tests/cases.sh LOG...` reads what `cargo test` and Node.js's test runner have printed; without a log it runs the
# tests itself. A test is the name that `cargo test` prints, or `node-red:` with a part of its title; `doc:` is a case
# of documentation, and `open:` one that is not mended yet, with what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then
  mkdir -p target
  cargo test --release 2>&1 | tee target/tests.log | grep '^test result' || true
  adapters/node-red/test.sh >target/node-red.log 2>&1 || true
  set -- target/tests.log target/node-red.log
fi

failed=0
open=0
while IFS=$'\t' read -r number tests; do
  case $tests in
    open:*)
      printf '%2s  open    %s\n' "$number" "${tests#open: }"
      open=$((open + 1))
      continue
      ;;
    doc:*)
      printf '%2s  doc     %s\n' "$number" "${tests#doc: }"
      continue
      ;;
  esac
  missing=
  titles=${tests#*node-red:}
  names=${tests%%node-red:*}
  for name in $names; do
    # A test may say more before its "ok" when tests print.
    grep --quiet --no-filename --extended-regexp "^test ${name//./\\.} (- should panic )?\.\.\. .*ok$|^test $name \.\.\. ok$" "$@" || missing+=" $name"
  done
  if [ "$titles" != "$tests" ]; then
    grep --quiet --no-filename --extended-regexp "^ *ok [0-9]+ - .*${titles}" "$@" || missing+=" node-red: $titles"
  fi
  if [ -z "$missing" ]; then
    printf '%2s  right\n' "$number"
  else
    printf '%2s  WRONG  did not pass:%s\n' "$number" "$missing"
    failed=$((failed + 1))
  fi
done <tests/cases.tsv
printf 'cases: %d, of which %d open and %d wrong\n' "$(wc -l <tests/cases.tsv)" "$open" "$failed"
[ "$failed" -eq 0 ]

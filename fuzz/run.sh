#!/usr/bin/env bash
# Fuzzes: fuzz/run.sh SECONDS [TARGET...]     each target for SECONDS; all targets by default
#
# Builds the targets with coverage counters by the stable compiler, seeds each one's corpus with
# the small files of testdata/, and stops at the first crash, allocation over 256 MiB, or input of
# at most 100 kB that takes over a minute. Inputs that take over 1 second are kept in
# fuzz/artifacts/TARGET/slow-unit-*, whatever stopped a target beside them. What was found new
# stays in fuzz/corpus/TARGET for the next run.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:?seconds for each target}
shift
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    for file in fuzz_targets/*.rs; do
        targets+=("$(basename "$file" .rs)")
    done
fi

coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
coverage+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
host=$(rustc -vV | sed -n 's/^host: //p')
# With an explicit target, flags are for the targets and not for build scripts.
RUSTFLAGS="$coverage --cfg fuzzing" cargo build --quiet --locked --release --target "$host"

for target in "${targets[@]}"; do
    corpus=corpus/$target
    artifacts=artifacts/$target/
    mkdir -p "$corpus" "$artifacts"
    if [ -z "$(ls -A "$corpus")" ]; then
        find ../testdata -type f -size -97k ! -name '*.json' ! -name '*.err' ! -name '*.py' \
            -exec cp --backup=numbered -t "$corpus" {} +
    fi
    "target/$host/release/$target" "$corpus" -max_total_time="$seconds" -max_len=100000 -timeout=60 \
        -report_slow_units=1 -malloc_limit_mb=256 -rss_limit_mb=2048 \
        -artifact_prefix="$artifacts" -print_final_stats=1 >"$artifacts/log" 2>&1 ||
        { tail -40 "$artifacts/log"; exit 1; }
    sed -n 's/^stat::number_of_executed_units: */'"$target"': executions /p' "$artifacts/log"
done

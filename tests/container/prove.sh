#!/usr/bin/env bash
# Builds the image without a registry, and runs the product in it: `make container`.
# Needs Debian's buildah and debootstrap. CYCLES is how many cycles `up` runs at the end,
# one every INTERVAL seconds.
set -euo pipefail
cd "$(dirname "$0")/../.."
export BUILDAH_ISOLATION=chroot BUILDAH_FORMAT=docker STORAGE_DRIVER=vfs
work=$(mktemp -d)
builder=(buildah --root "$work/storage" --runroot "$work/run")
trap '"${builder[@]}" rm --all >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
mounts=()

step() { printf '%4d s  %s\n' "$SECONDS" "$*"; }

# What stands in for python:slim: a minimal Debian with its Python.
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates,tzdata \
    bookworm "$work/debian" >"$work/debootstrap.log"
base=$("${builder[@]}" from scratch)
"${builder[@]}" add --quiet "$base" "$work/debian" / >/dev/null
"${builder[@]}" commit --quiet "$base" debian-python >/dev/null
"${builder[@]}" rm "$base" >/dev/null
rm -rf "$work/debian"
step "Base image of Debian"

# How this machine reaches its packages is mounted, so that it is in no layer of the image.
{
    echo "[global]"
    python3 -m pip config list | sed -nE "s/^[^.]*\.([a-z-]+)='(.*)'$/\1 = \2/p" | sort --unique
} >"$work/pip.conf"
mounts+=(--volume "$work/pip.conf:/etc/pip.conf:ro")
certificates=/etc/ssl/certs/ca-certificates.crt
mounts+=(--volume "$certificates:$certificates:ro")
"${builder[@]}" bud --quiet "${mounts[@]}" --build-arg BASE=localhost/debian-python \
    --file deployments/container/Dockerfile --tag easee-balancer . >"$work/build.log" 2>&1 ||
    { tail -30 "$work/build.log"; exit 1; }
step "Image of the balancer"

container=$("${builder[@]}" from easee-balancer)
folder=$("${builder[@]}" mount "$container")
size=$(du --summarize --block-size=1M "$folder" | cut --fields=1)
added=$(du --summarize --block-size=1M "$folder/opt" | cut --fields=1)
step "Size: $size MB, of it $added MB above the base"
touch "$work/before"
"${builder[@]}" run --volume "$PWD/tests/container:/proof:ro" --env CYCLES="${CYCLES:-3}" \
    --env INTERVAL="${INTERVAL:-30}" "$container" -- bash /proof/inside.sh
step "Ran as user $("${builder[@]}" inspect --format '{{.OCIv1.Config.User}}' "$container")"
written=$(find "$folder" -xdev -newer "$work/before" -type f \
    -not -path "$folder/data/*" -not -path "$folder/tmp/*" -not -path "$folder/etc/*")
if [ -n "$written" ]; then
    echo "Written outside of /data and /tmp: $written"
    exit 1
fi
step "Nothing was written outside of /data and /tmp"

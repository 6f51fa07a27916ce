#!/bin/sh
# Tries a packed room as a participant meets it: another user, a machine without a network, nothing installed.
#     python -m helpers prefetch --to room --packages
#     sudo sh tests/offline_room.sh USER [PYTHON]
# Linux only. It copies the course with room/ to a folder of that user, installs from room/ there, asks the doctor for its
# line, and runs lesson 00. The copy (4 GB) is removed at the end.
set -eu
user=$1
python=$(command -v "${2:-python3}")
course=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cd "$course"
git ls-files -z | xargs -0 cp --parents --target-directory="$copy"
cp -r room "$copy"
chmod 755 "$copy"
chown -R "$user" "$copy"
cat > "$copy/tried.sh" <<'SCRIPT'
set -eu
cd "$1"
mkdir home
export HOME="$1/home" PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS=room/wheels/linux SPT_CACHE=room
if "$2" -c "import socket; socket.create_connection(('1.1.1.1', 443), 3)" 2>/dev/null; then
    echo "there is a network here, so nothing would be shown"
    exit 1
fi
echo "$(id -un), without a network"
"$2" tasks.py setup
.venv/bin/python -m helpers doctor --line
.venv/bin/python -m helpers run --lessons 00 --out runs/room
SCRIPT
# -i: none of this terminal's variables; kernels of Jupyter need the loopback interface
unshare --net sh -c 'ip link set lo up; exec setpriv --reuid="$1" --regid="$(id -g "$1")" --init-groups env -i PATH="$PATH" sh "$2/tried.sh" "$2" "$3"' \
    sh "$user" "$copy" "$python"

#!/bin/sh
# Has systemd check the units: verify.sh BIN, with BIN in the place of /opt/taskgate/.venv/bin. Prints what is wrong.
set -eu
units="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$units/../.." && pwd)"
bin="$(cd "$1" && pwd)"
command -v systemd-analyze >/dev/null || { echo "systemd units: not checked, there is no systemd-analyze here"; exit 0; }

copies="$(mktemp -d)"
trap 'rm -rf "$copies"' EXIT
for unit in "$units"/taskgate*; do
  sed -e "s|/opt/taskgate/.venv/bin|$bin|g" -e "s|/opt/taskgate|$root|g" "$unit" > "$copies/${unit##*/}"
done
ln -s "taskgate-worker@.service" "$copies/taskgate-worker@default.service"
cd "$copies"
# It ends with 0 for settings that it does not know, which it does name.
complaints="$(SYSTEMD_UNIT_PATH="$copies:" systemd-analyze verify --man=no \
  taskgate.target taskgate-api.service taskgate-beat.service taskgate-worker@default.service 2>&1)" || failed=$?
complaints="$(printf '%s\n' "$complaints" | grep taskgate || true)"
[ -z "$complaints" ] || { printf '%s\n' "$complaints" >&2; exit 1; }
exit "${failed:-0}"

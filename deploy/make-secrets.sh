#!/bin/sh
# Writes the secrets that compose.yaml mounts, into secrets/ beside this file; what is there already stays.
set -eu
folder="$(dirname "$0")/secrets"
[ ! -e "$folder/taskgate.env" ] || { echo "$folder is there already" >&2; exit 1; }

random() { head -c 36 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'; }
redis="$(random)"
postgres="$(random)"

# Nobody else on this host may enter the folder; the files are open because containers read them as users of their own.
umask 022
mkdir -p "$folder"
chmod 0700 "$folder"
printf 'requirepass %s\n' "$redis" > "$folder/redis.conf"
printf '%s' "$postgres" > "$folder/postgres_password"
printf 'FLOWER_BASIC_AUTH=taskgate:%s\n' "$(random)" > "$folder/flower.env"
cat > "$folder/taskgate.env" <<END
REDIS_URL=redis://:$redis@redis:6379
DATABASE_URL=postgresql+psycopg://taskgate:$postgres@postgres/taskgate
SECRET_KEY=$(random)
END
echo "Written: $folder"

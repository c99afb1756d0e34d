# Creates the database cluster, a role and its two databases, unless they exist. The init container runs it.
set -eu
data=/data/pgdata
[ ! -s "$data/PG_VERSION" ] || exit 0

# Only this is left of an interrupted start.
rm -rf "$data.new"
# The superuser has no password, so only processes in the container can log in as it.
initdb --pgdata="$data.new" --username=postgres --auth-local=trust --auth-host=scram-sha-256 \
  --encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8
echo 'host all shelfcast all scram-sha-256' >>"$data.new/pg_hba.conf"

quoted=$(printf %s "$POSTGRES_PASSWORD" | sed "s/'/''/g")
# Each statement is on one line.
postgres --single -D "$data.new" -c exit_on_error=on postgres >/dev/null <<SQL
create role shelfcast login password '$quoted'
create database shelfcast owner shelfcast
create database mlflow owner shelfcast
SQL
mv "$data.new" "$data"

#!/bin/sh
# Gives each service a role and a database of its own, once, when the data folder is made. Nobody else gets in there.
# The password is the one in the service's secret, which is the URL that it connects by.
set -eu

for service in upload metadata ml_worker search gateway; do
    url=$(cat "${SECRETS:=/run/secrets}/${service}_database_url")
    rest=${url#*://*:}
    ROLE=$service PASSWORD=${rest%%@*} psql --set ON_ERROR_STOP=1 --quiet --no-psqlrc \
        --username "$POSTGRES_USER" --dbname "${POSTGRES_DB:=postgres}" <<'SQL'
\getenv role ROLE
\getenv password PASSWORD
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"role" OWNER :"role";
REVOKE ALL ON DATABASE :"role" FROM PUBLIC;
SQL
done

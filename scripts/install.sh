#!/bin/sh
# Make the guest a K3s node image. Runs as root in the guest, after scripts/k3s has been uploaded. It may run again at any
# time: everything it does, it does to the end state.
#
# Environment:
#   PAYLOAD_DIR         where scripts/k3s was uploaded to (default /root/scripts)
#   PAYLOAD_VERSION     written into /etc/k3s-release and told by the health endpoint (default 0)
#   INSECURE_REGISTRY   host[:port] of a registry that speaks plain HTTP (default: none)
set -eu

PAYLOAD_DIR=${PAYLOAD_DIR:-/root/scripts}
PAYLOAD_VERSION=${PAYLOAD_VERSION:-0}
INSECURE_REGISTRY=${INSECURE_REGISTRY:-}

# shellcheck source=k3s/lib.sh
. "$PAYLOAD_DIR/lib.sh"

apply_kernel_parameters() {
    say "kernel parameters"
    mkdir -p /etc/sysctl.d
    put 644 "$PAYLOAD_DIR/sysctl.d/90-k3s.conf" /etc/sysctl.d/90-k3s.conf
    sysctl -q -p /etc/sysctl.d/90-k3s.conf
}

configure_registry() {
    mkdir -p /etc/rancher/k3s
    if [ -z "$INSECURE_REGISTRY" ]; then
        rm -f /etc/rancher/k3s/registries.yaml
        return
    fi
    say "registry $INSECURE_REGISTRY"
    cat >/etc/rancher/k3s/registries.yaml <<END
mirrors:
  "$INSECURE_REGISTRY":
    endpoint:
      - "http://$INSECURE_REGISTRY"
configs:
  "$INSECURE_REGISTRY":
    tls:
      insecure_skip_verify: true
END
}

write_release() {
    cat >/etc/k3s-release <<END
PAYLOAD_VERSION=$PAYLOAD_VERSION
INSECURE_REGISTRY=$INSECURE_REGISTRY
END
}

find_http_server() {
    if has busybox; then
        command -v busybox
    elif has python3; then
        command -v python3
    elif has python2; then
        command -v python2
    elif [ -x /usr/libexec/platform-python ]; then
        echo /usr/libexec/platform-python
    else
        return 1
    fi
}

install_health_service() {
    say "health service"
    if ! server=$(find_http_server); then
        echo "the guest has neither busybox nor python: add one of them to the kickstart's packages" >&2
        exit 1
    fi
    mkdir -p /usr/local/lib/k3s /var/lib/k3s/health
    put 755 "$PAYLOAD_DIR/healthd" /usr/local/lib/k3s/healthd
    ln -sfn "$server" /usr/local/lib/k3s/k3s-healthd
    echo ok >/var/lib/k3s/health/healthz
    echo "$PAYLOAD_VERSION" >/var/lib/k3s/health/version
    chown -R k3s:k3s /var/lib/k3s
    install_service k3s-healthd "$PAYLOAD_DIR"
}

wait_for_health() {
    tries=0
    until wget_health | grep -q '^ok'; do
        tries=$((tries + 1))
        if [ $tries -ge 50 ]; then
            echo "http://127.0.0.1:8080/healthz does not answer" >&2
            exit 1
        fi
        sleep 0.2
    done
    say "health endpoint answers"
}

wget_health() {
    if has curl; then
        curl -fsS http://127.0.0.1:8080/healthz 2>/dev/null || true
    elif has wget; then
        wget -q -O - http://127.0.0.1:8080/healthz 2>/dev/null || true
    else
        busybox wget -q -O - http://127.0.0.1:8080/healthz 2>/dev/null || true
    fi
}

# K3s itself, when its release files came along. It does not start here: the first node to boot makes the cluster's keys.
install_k3s() {
    resources=$PAYLOAD_DIR/resources
    if ! has_systemd || [ ! -f "$resources/k3s" ]; then
        return 0
    fi
    say "K3s from $resources"
    put 755 "$resources/k3s" /usr/local/bin/k3s
    mkdir -p /var/lib/rancher/k3s/agent/images
    cp "$resources"/k3s-airgap-images-*.tar* /var/lib/rancher/k3s/agent/images/
    INSTALL_K3S_SKIP_DOWNLOAD=true INSTALL_K3S_SKIP_START=true sh "$resources/install.sh"
}

ensure_user k3s /var/lib/k3s
apply_kernel_parameters
configure_registry
write_release
install_k3s
install_health_service
wait_for_health

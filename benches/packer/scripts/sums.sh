#!/bin/bash
# Reads all that was uploaded.
set -e
cd /root
sha256sum big.bin >big.sha256
sha256sum /opt/app/small/* >/opt/app/SHA256SUMS
sha256sum -c big.sha256
test "$(stat -c %s big.bin)" = 52428800
